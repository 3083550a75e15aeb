"""What all transforms that change pixels have in common."""

import dataclasses
import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from helpers import make_data

from keras_maskrcnn.data.loading import PictureLoader
from keras_maskrcnn.data.records import Instance
from keras_maskrcnn.data.transforms import (
    PixelAction,
    Sample,
    make_transforms,
    transform_sample,
)
from keras_maskrcnn.outlines import Polygons

CHOICES = {
    "color": {"name": "color", "grey": 0.3},
    "blur": {"name": "blur", "sigma": (0.5, 3), "probability": 1},
    "noise": {"name": "noise", "std": (4, 9), "probability": 1},
    "jpeg": {"name": "jpeg", "quality": (1, 100), "probability": 1},
    "cutout": {"name": "cutout", "count": (1, 3), "fill": "noise", "probability": 1},
    "keras_layer": keras.layers.RandomColorJitter((0, 255), 0.2, 0.3, 0.4, 0.1),
}
POINTS = np.array([[5, 6, 2], [0, 0, 0]], "float32")
INSTANCES = (
    Instance(0, (4.0, 5.0, 20.0, 15.0), Polygons([[4, 5, 20, 5, 4, 15]]), False, 80.0, 1, POINTS),
    Instance(1, (29.0, 19.0, 30.0, 20.0), None, False, None, 2),
    Instance(0, (0.0, 0.0, 30.0, 4.0), None, True, None, 3),
)


def picture(dtype="uint8", channels=3):
    values = np.random.default_rng(0).uniform(0, 255, (20, 30, channels))
    return values.astype(dtype)


@pytest.fixture(params=CHOICES)
def transform(request):
    (made,) = make_transforms(CHOICES[request.param])
    return made


@pytest.mark.parametrize("dtype", ["uint8", "float32", "uint16"])
def test_pixels_change_and_nothing_else(transform, dtype):
    given = Sample(picture(dtype), INSTANCES, ((0, 1),))
    action = transform.draw(np.random.default_rng(3), given)
    found = action.apply(given)
    assert found.image.dtype == dtype and found.image.shape == (20, 30, 3)
    assert (found.image != given.image).mean() > 0.1
    assert found.image.min() >= 0 and found.image.max() <= 255
    np.testing.assert_array_equal(given.image, picture(dtype))
    assert found.instances == INSTANCES and found.flip_pairs == ((0, 1),)
    np.testing.assert_array_equal(action.turn(20, 30), np.eye(2))
    # Pictures of integers are those of floats, rounded once.
    if dtype == "uint8" and type(transform).__name__ != "Cutout":
        floats = action.apply(Sample(given.image.astype("float32"))).image
        np.testing.assert_array_equal(found.image, np.rint(floats))


def test_all_follows_from_the_seed(transform):
    given = Sample(picture(), INSTANCES)

    def outcome(seed):
        return transform_sample(given, [transform], np.random.default_rng(seed))[0].image

    expected = [outcome(seed) for seed in range(24)]
    assert len({image.tobytes() for image in expected}) > 15
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(outcome, range(24)))
    np.testing.assert_array_equal(found, expected)
    action = transform.draw(np.random.default_rng(5), given)
    again = pickle.loads(pickle.dumps(action))
    np.testing.assert_array_equal(again.apply(given).image, expected[5])
    assert json.loads(json.dumps(action.describe()))["action"] == type(action).__name__


def test_settings_come_back(transform):
    config = json.loads(json.dumps(transform.get_config()))
    (again,) = make_transforms(config)
    assert json.loads(json.dumps(again.get_config())) == config
    given = Sample(picture())
    images = [
        transform_sample(given, [t], np.random.default_rng(1))[0].image for t in (transform, again)
    ]
    np.testing.assert_array_equal(*images)


def test_probability(transform):
    given, rng = Sample(picture()), np.random.default_rng(0)
    config = transform.get_config()
    (never,) = make_transforms(config | {"probability": 0})
    assert all(never.draw(rng, given) is None for _ in range(20))
    (rarely,) = make_transforms(config | {"probability": 0.2})
    assert 0.1 < np.mean([rarely.draw(rng, given) is not None for _ in range(300)]) < 0.3
    with pytest.raises(ValueError, match=r"probability must be in 0\.\.1"):
        make_transforms(config | {"probability": 1.5})


def test_no_objects_and_small_pictures(transform):
    for shape in ((1, 1, 3), (1, 7, 3), (5, 2, 3)):
        given = Sample(np.full(shape, 77, np.uint8))
        found, _, _ = transform_sample(given, [transform], np.random.default_rng(0))
        assert found.image.shape == shape and found.instances == ()


def test_masks_are_kept_with_their_picture(transform, tmp_path):
    """What moves nothing leaves drawn masks as they are, and all batches are repeatable."""
    data = make_data(tmp_path, [(64, 96)] * 4)
    loader = PictureLoader(data, [transform, *make_transforms("flip")], 0, 2, 96, True, True, False)
    loader(0, 0, 64)
    assert set(loader.masks) == {0}
    options = {"augment": [transform, "flip"], "seed": 1, "min_size": 64, "max_size": 96}
    passes = [list(data.batches(1, cache=cache, **options)) for cache in (False, True)]
    for (images, targets), (same, others) in zip(*passes, strict=True):
        np.testing.assert_array_equal(images, same)
        for name, values in targets.items():
            np.testing.assert_array_equal(values, others[name])


@pytest.mark.parametrize("name", ["color", "noise", "jpeg", "cutout"])
@pytest.mark.parametrize("value", [0, -1, True, "255", float("nan")])
def test_value_ranges_that_are_none(name, value):
    with pytest.raises(ValueError, match="value_range, the highest value of a pixel, must be"):
        make_transforms({"name": name, "value_range": value})


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ({"name": "blur"}, {"sigma": -1}),
        ({"name": "blur"}, {"sigma": (2, 1)}),
        ({"name": "blur"}, {"sigma": (1, 2, 3)}),
        ({"name": "blur"}, {"sigma": "much"}),
        ({"name": "noise"}, {"std": (-1, 2)}),
        ({"name": "noise"}, {"std": float("nan")}),
        ({"name": "jpeg"}, {"quality": 0}),
        ({"name": "jpeg"}, {"quality": (50, 101)}),
        ({"name": "jpeg"}, {"quality": 50.5}),
        ({"name": "cutout"}, {"count": -1}),
        ({"name": "cutout"}, {"area": 1.1}),
        ({"name": "cutout"}, {"aspect": (0, 1)}),
        ({"name": "cutout"}, {"fill": 256}),
        ({"name": "cutout"}, {"fill": "median"}),
        ({"name": "cutout"}, {"fill": (1, 2, -3)}),
        ({"name": "cutout"}, {"fill": None}),
        ({"name": "color"}, {"brightness": -0.1}),
        ({"name": "color"}, {"contrast": (-0.1, 1)}),
        ({"name": "color"}, {"saturation": True}),
        ({"name": "color"}, {"hue": 0.6}),
        ({"name": "color"}, {"hue": (-0.6, 0)}),
        ({"name": "color"}, {"grey": 2}),
    ],
)
def test_settings_out_of_range(setting, value):
    ((name, given),) = value.items()
    with pytest.raises(ValueError, match=f"{name} must be .*Received: {name}="):
        make_transforms({**setting, name: given})


def test_a_strangers_action():
    @dataclasses.dataclass(frozen=True)
    class Grow(PixelAction):
        dtype: str = "uint8"

        def change(self, image):
            return np.zeros((9, 9, 3), self.dtype)

    given = Sample(np.zeros((9, 9, 3), np.uint8), INSTANCES)
    assert Grow().apply(given).instances == INSTANCES
    with pytest.raises(
        ValueError, match=r"Grow must give a picture of shape \(20, 30, 3\).*\(9, 9"
    ):
        Grow().apply(Sample(picture()))
    with pytest.raises(ValueError, match="Grow must give .* type uint8. Received: .* type float32"):
        Grow("float32").apply(given)


def test_no_transform_imports_tensorflow_or_keras():
    script = """
import sys
import numpy as np
from keras_maskrcnn.data.transforms import Sample, make_transforms, transform_sample
settings = [{"name": n, "probability": 1} for n in ("color", "blur", "noise", "jpeg", "cutout")]
transforms = make_transforms([*settings, lambda image, instances, rng: (image, instances)])
transform_sample(Sample(np.zeros((8, 8, 3), np.uint8)), transforms, np.random.default_rng(0))
print(sorted({"tensorflow", "keras"} & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
