"""Functions of the user's own: what they are handed, what they may return, how they are named."""

import dataclasses
import json
import sys

import numpy as np
import pytest
import tensorflow as tf
from helpers import make_data

from keras_maskrcnn.data.records import Instance
from keras_maskrcnn.data.transforms import (
    FunctionTransform,
    Sample,
    make_transforms,
    transform_sample,
)
from keras_maskrcnn.outlines import Bitmap, Polygons

POINTS = np.array([[5, 6, 2], [0, 0, 0]], "float32")
THING = Instance(
    0, (4.0, 5.0, 20.0, 15.0), Polygons([[4, 5, 20, 5, 4, 15]]), False, 80.0, 7, POINTS
)
CROWD = Instance(0, (0.0, 0.0, 30.0, 4.0), None, True, None, 8)


def given():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    return Sample(image, (THING, CROWD), ((0, 1),))


def apply(function, sample=None, seed=0):
    transforms = make_transforms([function])
    return transform_sample(sample or given(), transforms, np.random.default_rng(seed))[0]


def shade(image, instances, rng):
    return (image * rng.uniform(0.5, 1)).astype(image.dtype), instances


def upside_down(image, instances, rng):
    """By way of masks, as another library would."""
    height, width = image.shape[:2]
    moved = []
    for instance in instances:
        if instance.outline is not None:
            outline = Bitmap(instance.outline.draw_whole(height, width)[::-1] > 0).bitmap()
            moved.append(
                dataclasses.replace(
                    instance, outline=outline, box=outline.bounds(), annotated_area=None
                )
            )
    return np.ascontiguousarray(image[::-1]), moved


class Callable:
    def __call__(self, image, instances, rng):
        return image // 2, instances

    def method(self, image, instances, rng):
        return image // 3, list(instances)


def test_pixels_alone():
    found = apply(shade)
    assert found.instances[1] is CROWD and found.flip_pairs == ((0, 1),)
    assert found.instances[0].box == THING.box and found.instances[0].outline is THING.outline
    factors = {float(apply(shade, seed=s).image.sum() / given().image.sum()) for s in range(20)}
    assert len(factors) == 20 and min(factors) > 0.49 and max(factors) < 1
    np.testing.assert_array_equal(apply(shade, seed=3).image, apply(shade, seed=3).image)


def test_an_action_is_the_same_each_time():
    (transform,) = make_transforms(shade)
    action = transform.draw(np.random.default_rng(0), given())
    np.testing.assert_array_equal(action.apply(given()).image, action.apply(given()).image)
    described = json.loads(json.dumps(action.describe()))
    assert described["function"].endswith(":shade") and described["action"] == "FunctionAction"
    # What it did cannot be told, so masks are drawn anew.
    assert action.turn(20, 30) is None


def test_one_that_moves(tmp_path):
    found = apply(upside_down)
    assert [i.annotation_id for i in found.instances] == [7]
    np.testing.assert_allclose(found.instances[0].box, (4, 5, 20, 15), atol=1)
    data = make_data(tmp_path, [(64, 96)] * 2)
    options = {"min_size": 64, "max_size": 96}
    for cache in (False, True):
        ((_, before), _) = data.batches(1, **options)
        ((_, after), _) = data.batches(1, augment=upside_down, cache=cache, **options)
        y1, y2 = before["boxes"][0, :, 1].numpy(), before["boxes"][0, :, 3].numpy()
        np.testing.assert_allclose(after["boxes"][0, :, 1], 64 - y2, atol=1)
        np.testing.assert_allclose(after["boxes"][0, :, 3], 64 - y1, atol=1)


def test_all_that_can_be_called():
    thing, image = Callable(), given().image
    np.testing.assert_array_equal(apply(thing).image, image // 2)
    np.testing.assert_array_equal(apply(thing.method).image, image // 3)
    found = apply(lambda image, instances, rng, more=1: (image, instances[1:]))
    assert found.instances == (CROWD,)
    assert apply(shade, Sample(image)).instances == ()


def test_what_is_kept_is_safe_from_changes_in_place(tmp_path):
    def spoil(image, instances, rng):
        image[:] = 0
        for instance in instances:
            if instance.keypoints is not None:
                instance.keypoints[:] = 0
        return image, instances

    sample = given()
    found = apply(spoil, sample)
    assert (found.image == 0).all() and (found.instances[0].keypoints == 0).all()
    np.testing.assert_array_equal(sample.image, given().image)
    assert POINTS[0, 0] == 5


def replaced(**fields):
    return lambda image, instances, rng: (image, [dataclasses.replace(instances[0], **fields)])


def returning(result):
    return lambda image, instances, rng: result


IMAGE = given().image


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (returning(IMAGE), r"return a pair \(image, instances\). Received: ndarray"),
        (returning(None), "Received: NoneType"),
        (returning((IMAGE / 255, ())), "type uint8, as it was given. Received: float64"),
        (returning((IMAGE.tolist(), ())), "type uint8, as it was given. Received: list"),
        (returning((IMAGE[..., 0], ())), r"\(height, width, 3\). Received: shape \(20, 30\)"),
        (returning((IMAGE[..., :1], ())), r"\(height, width, 3\). Received: shape \(20, 30, 1\)"),
        (returning((IMAGE[:0], ())), r"Received: shape \(0, 30, 3\)"),
        (returning((IMAGE, None)), "a list of instances. Received: NoneType"),
        (returning((IMAGE, [(1, 2, 3, 4)])), r"Instances alone. Received: \(1, 2, 3, 4\)"),
        (returning((IMAGE[:10], (THING,))), "within the picture, of width 30 and height 10"),
        (replaced(box=(-0.1, 0, 5, 5)), r"box=\(-0.1, 0, 5, 5\) of the instance with .* id 7"),
        (replaced(box=(3, 3, 3, 5)), "not empty"),
        (replaced(box=(3, 3, float("nan"), 5)), "not empty"),
        (replaced(box=(3, 3, 5)), r"box=\(3, 3, 5\)"),
        (replaced(outline=None), "an outline of each object. Received: outline=None .* id 7"),
        (replaced(keypoints=POINTS[:1]), r"shape \(2, 3\). Received: shape \(1, 3\) of .* id 7"),
    ],
)
def test_what_it_returns_is_checked(function, words):
    with pytest.raises(ValueError, match=rf"test_function:\w+.*<lambda> of augment must .*{words}"):
        apply(function)


def test_boxes_alone_may_stay_so_and_touch_the_border():
    boxed = dataclasses.replace(THING, outline=None, box=(0, 0, 30, 20))
    found = apply(lambda i, o, rng: (i, o), Sample(IMAGE, (boxed,)))
    assert found.instances[0].box == (0, 0, 30, 20)


def test_a_failure_names_function_and_picture(tmp_path):
    def broken(image, instances, rng):
        return {}["mask"]

    data = make_data(tmp_path, [(64, 96)])
    message = r"Image id 100: the function .*broken of augment failed: KeyError: 'mask'"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        list(data.batches(1, augment=broken, min_size=64, max_size=96))


@pytest.mark.parametrize(
    "function", [lambda image: image, lambda a, b, c, d: a, lambda *, image, instances, rng: image]
)
def test_functions_of_other_arguments(function):
    message = r"augment must be .* a function of \(image, instances, rng\).*<lambda>"
    with pytest.raises(TypeError, match=message):
        make_transforms(function)


def test_a_class_is_no_function():
    with pytest.raises(TypeError, match="augment must be"):
        make_transforms(Callable)


def test_found_again_by_module_and_name(monkeypatch, tmp_path):
    (tmp_path / "shades_of_mine.py").write_text(
        "def dim(image, instances, rng):\n    return image // 2, instances\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import shades_of_mine

    config = json.loads(json.dumps(FunctionTransform(function=shades_of_mine.dim).get_config()))
    assert config == {"name": "function", "function": "shades_of_mine:dim"}
    (again,) = make_transforms(config)
    assert again.function is shades_of_mine.dim and again.get_config() == config
    # What a script or notebook defines is found in that process only.
    monkeypatch.setattr(shades_of_mine.dim, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "dim", shades_of_mine.dim, raising=False)
    for hidden in (shades_of_mine.dim, lambda a, b, c: (a, b), Callable(), Callable().method):
        with pytest.raises(ValueError, match="written down by its module and name.*Received: func"):
            FunctionTransform(function=hidden).get_config()


@pytest.mark.parametrize("name", ["no_such_module:f", "json:no_such", "json", "", ":f"])
def test_found_nowhere(name):
    with pytest.raises(ValueError, match=f"found as 'package.module:name'.*function='{name}'"):
        make_transforms({"name": "function", "function": name})
    with pytest.raises(TypeError, match="a function of"):
        make_transforms({"name": "function", "function": "json:__doc__"})
