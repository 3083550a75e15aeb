"""Copy-paste: what is pasted, hidden, cut, dropped and blended, by hand."""

import dataclasses
import json

import numpy as np
import pytest
from helpers import make_data

from keras_maskrcnn.data.records import Instance
from keras_maskrcnn.data.transforms import (
    CopyPaste,
    Sample,
    ScaleJitter,
    Surroundings,
    make_transforms,
    transform_sample,
)
from keras_maskrcnn.data.transforms.copy_paste import CopyPasteAction
from keras_maskrcnn.outlines import Bitmap, Polygons

HEIGHT, WIDTH = 20, 30


def rectangle(x1, y1, x2, y2, outline=True, **fields):
    corners = Polygons([[x1, y1, x2, y1, x2, y2, x1, y2]]) if outline else None
    fields = {"category": 0, "is_crowd": False, "annotation_id": 1} | fields
    return Instance(
        box=(x1, y1, x2, y2), outline=corners, annotated_area=float((x2 - x1) * (y2 - y1)), **fields
    )


def picture(value, *instances, size=(HEIGHT, WIDTH), pictures=(), dtype=np.uint8):
    image = np.full((*size, 3), value, dtype)
    around = Surroundings(lambda height, width: (height, width), pictures, pictures.__getitem__)
    return Sample(image, instances, (), around)


def paste(sample, other, shift=(0, 0), blend=0.0, min_visible=0.0, objects=None):
    """Applies an action that reads the other picture, as one that was written down would."""
    pictures = [other]
    around = Surroundings(lambda height, width: (height, width), pictures, pictures.__getitem__)
    sample = dataclasses.replace(sample, around=around)
    taken = tuple(range(len(other.objects))) if objects is None else objects
    return CopyPasteAction(0, taken, (), shift, blend, min_visible).apply(sample)


def test_pixels_and_outlines_are_pasted_where_they_are_moved():
    other = picture(200, rectangle(2, 3, 6, 8, annotation_id=7, category=1))
    found = paste(picture(10), other, shift=(10, 5))
    (pasted,) = found.objects
    assert pasted.box == (12, 8, 16, 13) and pasted.category == 1 and pasted.annotation_id == 7
    assert pasted.area == 20
    expected = np.full((HEIGHT, WIDTH, 3), 10, np.uint8)
    expected[8:13, 12:16] = 200
    np.testing.assert_array_equal(found.image, expected)


def test_what_is_hidden_is_cut_out():
    own = (
        rectangle(0, 0, 10, 10, annotation_id=1),  # its right half is hidden
        rectangle(6, 2, 8, 4, annotation_id=2),  # vanishes
        rectangle(20, 0, 24, 4, annotation_id=3),  # untouched
        rectangle(0, 0, 12, 12, annotation_id=4, is_crowd=True),
        rectangle(4, 0, 9, 9, outline=False, annotation_id=5),  # a box keeps its form
        rectangle(6, 0, 9, 9, outline=False, annotation_id=6),  # and vanishes as a whole
    )
    found = paste(picture(10, *own), picture(200, rectangle(5, 0, 15, 10, annotation_id=9)))
    by_id = {i.annotation_id: i for i in found.instances}
    assert list(by_id) == [1, 3, 4, 5, 9]
    assert by_id[1].box == (0, 0, 5, 10) and by_id[1].area == 50
    assert by_id[3] is own[2] and by_id[5].box == own[4].box
    assert by_id[4].is_crowd and by_id[4].area == 144 - 70
    drawn = by_id[4].outline.draw_whole(HEIGHT, WIDTH) > 0
    assert drawn[:10, :5].all() and not drawn[:10, 5:12].any() and drawn[10:12, :12].all()


def test_little_that_is_left_is_dropped():
    own = rectangle(0, 0, 10, 10, annotation_id=1)
    other = picture(200, rectangle(0, 0, 10, 7, annotation_id=2))
    kept = paste(picture(10, own), other, min_visible=0.3)
    assert [i.annotation_id for i in kept.instances] == [1, 2]
    gone = paste(picture(10, own), other, min_visible=0.31)
    assert [i.annotation_id for i in gone.instances] == [2]


def test_hidden_keypoints_are_not_visible():
    points = np.array([[2.5, 2.5, 2], [7.5, 2.5, 2], [7.5, 8.5, 1], [0, 0, 0]], np.float32)
    own = rectangle(0, 0, 10, 10, keypoints=points)
    found = paste(picture(10, own), picture(200, rectangle(5, 0, 15, 5)))
    np.testing.assert_array_equal(found.objects[0].keypoints[:, 2], [2, 1, 1, 0])
    np.testing.assert_array_equal(points[:, 2], [2, 2, 1, 0])  # what was given stays


def test_pasted_objects_are_cut_at_the_border():
    other = picture(200, rectangle(2, 3, 6, 8), rectangle(20, 3, 26, 8, annotation_id=2))
    found = paste(picture(10), other, shift=(-22, 14))
    (pasted,) = found.objects
    assert pasted.annotation_id == 2 and pasted.box == (0, 17, 4, 20)
    assert (found.image[17:20, :4] == 200).all() and (found.image[:17] == 10).all()


def test_an_object_that_covers_no_pixel_is_not_pasted():
    sliver = rectangle(2.1, 3.1, 2.3, 3.3)
    sample = picture(10)
    found = paste(sample, picture(200, sliver))
    assert found.instances == () and (found.image == 10).all()


def test_edges_are_blended_by_a_gaussian():
    from scipy.ndimage import gaussian_filter

    found = paste(picture(0.0, dtype=np.float32), picture(100.0, rectangle(8, 6, 20, 14),
                  dtype=np.float32), blend=1.5)  # fmt: skip
    mask = np.zeros((HEIGHT, WIDTH))
    mask[6:14, 8:20] = 100
    expected = gaussian_filter(mask, 1.5, mode="mirror", truncate=4)
    np.testing.assert_allclose(found.image[..., 1], expected, atol=0.01)


def test_blending_stays_within_the_other_picture():
    other = picture(200, rectangle(0, 0, 4, 4), size=(4, 4))
    found = paste(picture(10), other, shift=(10, 10), blend=2.0)
    outside = np.ones((HEIGHT, WIDTH), bool)
    outside[10:14, 10:14] = False
    assert (found.image[outside] == 10).all()
    assert (found.image[~outside] > 10).all()


def test_draws():
    pictures = [
        picture(0),
        picture(50, rectangle(1, 1, 5, 5, outline=False)),
        picture(90, *(rectangle(k, 1, k + 4, 5, annotation_id=k) for k in range(20))),
    ]
    sample = picture(10, rectangle(0, 0, 3, 3), pictures=pictures)
    drawn = [
        CopyPaste(max_pasted=5, transforms=()).draw(np.random.default_rng(seed), sample)
        for seed in range(50)
    ]
    # Pictures without outlined objects have nothing to paste.
    assert {action.index for action in drawn} == {2}
    assert max(len(action.objects) for action in drawn) == 5
    seen = set()
    for action in drawn:
        found = action.apply(sample)
        again = dataclasses.replace(action, other=None).apply(sample)
        np.testing.assert_array_equal(found.image, again.image)
        assert [i.box for i in found.instances] == [i.box for i in again.instances]
        pasted = [i for i in found.instances if i.annotation_id in action.objects and i.area == 16]
        assert all(i.box[0] >= 0 and i.box[2] <= WIDTH for i in pasted)
        seen.add(action.shift)
        json.dumps(action.describe())
    assert len(seen) > 40  # anywhere in the picture
    none = [CopyPaste(probability=0.0).draw(np.random.default_rng(s), sample) for s in range(5)]
    assert none == [None] * 5
    assert CopyPaste().draw(np.random.default_rng(0), picture(10)) is None


def test_the_other_picture_comes_at_the_scale_that_the_network_sees():
    other = picture(90, rectangle(10, 10, 50, 30), size=(200, 300))
    around = Surroundings(lambda height, width: (40, 60), [other], [other].__getitem__)
    sample = dataclasses.replace(picture(10), around=around)  # is enlarged twice, later
    paster = CopyPaste(transforms=(), object_probability=1.0, blend=0)
    found = paster.draw(np.random.default_rng(0), sample).apply(sample)
    (pasted,) = found.objects
    # 40 pixels of 300 are 8 of the 60 of the network's input, and 4 of the 30 of the sample.
    assert pasted.box[2] - pasted.box[0] == pytest.approx(4, abs=1e-5)
    # Two pictures that were jittered have that size already.
    jittered, actions, _ = transform_sample(
        sample, [ScaleJitter(), CopyPaste(object_probability=1.0)], np.random.default_rng(1)
    )
    assert jittered.size == (40, 60)
    assert [type(a).__name__ for a in actions[1].actions][-1] == "ScaleJitterAction"
    assert actions[1].other.size == (40, 60)


def test_settings():
    (made,) = make_transforms({"name": "copy_paste", "transforms": ["flip"], "max_pasted": 3})
    assert made.added_objects(10) == 3 and made.added_objects(2) == 2
    described = json.loads(json.dumps(made.get_config()))
    assert make_transforms(described)[0].get_config() == made.get_config()
    for wrong, words in (
        ({"max_pasted": 0}, "max_pasted must be at least 1"),
        ({"blend": -1}, "blend must be at least 0"),
        ({"object_probability": 2}, "object_probability must be in 0..1"),
        ({"transforms": "copy_paste"}, "must add no objects"),
        ({"transforms": "flap"}, "mean 'flip'"),
    ):
        with pytest.raises(ValueError, match=words):
            CopyPaste(**wrong)


@pytest.mark.parametrize("cache", [False, True])
def test_batches_have_room_and_repeat(tmp_path, cache):
    data = make_data(tmp_path, [(60, 80), (80, 60), (64, 64), (50, 90), (70, 70)])
    options = {"min_size": 64, "max_size": 96, "seed": 3, "shuffle": True, "cache": cache}
    passes = [
        [
            (images.numpy(), {k: v.numpy() for k, v in targets.items()})
            for images, targets in data.batches(2, augment=["standard", "copy_paste"], **options)
        ]
        for _ in range(2)
    ]
    plain = list(data.batches(2, augment="standard", **options))
    added = 0
    for (images, targets), (again, same), (_, alone) in zip(*passes, plain, strict=True):
        assert targets["classes"].shape[1] == 2 * data.max_objects
        np.testing.assert_array_equal(images, again)
        for name, values in targets.items():
            np.testing.assert_array_equal(values, same[name], err_msg=name)
        added += (targets["classes"] >= 0).sum() - (alone["classes"].numpy() >= 0).sum()
        real = targets["classes"] >= 0
        assert (targets["masks"][real].reshape(real.sum(), -1).max(axis=1) > 0).all()
    assert added > 0
    with pytest.raises(ValueError, match="augment adds up to"):
        data.batches(2, augment="copy_paste", max_objects=data.max_objects)


def test_outlines_of_bits_are_pasted_too():
    bits = np.zeros((4, 6), bool)
    bits[1:3, 2:5] = True
    bitmap = Bitmap(bits, 3, 2)
    other = picture(200, dataclasses.replace(rectangle(5, 3, 8, 5), outline=bitmap))
    found = paste(picture(10), other, shift=(1, 1))
    assert (found.image[..., 0] == 200).sum() == 6
    assert found.objects[0].box == (6, 4, 9, 6)
