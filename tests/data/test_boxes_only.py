"""Objects without outline: read, batched and trained as boxes; masks are asked of them by name."""

import json

import keras
import numpy as np
import pytest
from helpers import keypoint_head, tiny_model
from PIL import Image

from keras_maskrcnn.data import load_coco
from keras_maskrcnn.training import TrainingOptions, train_model

OUTLINE = [[8, 8, 40, 8, 40, 40, 8, 40]]


def make(folder, outlines, name="boxes"):
    """Two pictures that share out objects with these outlines; "absent" stands for no entry."""
    images, annotations = [], []
    for number in range(2):
        pixels = np.full((64, 96, 3), 120, np.uint8)
        pixels[8:40, 8:40] = 250
        Image.fromarray(pixels).save(folder / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": 64, "width": 96})
    for number, outline in enumerate(outlines, 1):
        entry = {"id": number, "image_id": number % 2, "category_id": 1, "bbox": [8, 8, 32, 32]}
        entry |= {"keypoints": [10, 10, 2, 30, 30, 1]}
        annotations.append(entry if outline == "absent" else entry | {"segmentation": outline})
    categories = [
        {"id": 1, "name": "square", "keypoints": ["corner", "centre"]},
        {"id": 2, "name": "bar"},
    ]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / f"{name}.json").write_text(json.dumps(content))
    return load_coco(folder / f"{name}.json", folder, on_error="raise")


@pytest.fixture
def boxes(tmp_path):
    return make(tmp_path, ["absent"] * 4)


@pytest.fixture
def mixed(tmp_path):
    return make(tmp_path, [OUTLINE, "absent", OUTLINE, None, OUTLINE], "mixed")


@pytest.mark.parametrize("outline", ["absent", None, [], ""])
def test_read(tmp_path, outline):
    data = make(tmp_path, [outline, OUTLINE])
    (first,), (second,) = data.records[1].objects, data.records[0].objects
    assert (first.box, first.outline, first.area) == ((8.0, 8.0, 40.0, 40.0), None, 1024.0)
    np.testing.assert_array_equal(first.keypoints, [[10.5, 10.5, 2], [30.5, 30.5, 1]])
    assert second.outline.to_coco(64, 64) == OUTLINE
    assert data.boxes_only == (first,)
    assert data.missing_outlines == (
        "1 of 2 objects of the data set 'boxes' have no outline, such as annotation ids 1"
    )
    assert "boxes_only=1" in repr(data)


def test_every_annotation_of_a_keypoint_file(shared, tmp_path):
    folder = shared / "data" / "coco_ccby"
    content = json.loads((folder / "annotations" / "person_keypoints_val2017.json").read_text())
    whole = load_coco(folder / "annotations" / "person_keypoints_val2017.json", folder / "val2017")
    for entry in content["annotations"]:
        del entry["segmentation"]
    (tmp_path / "keypoints.json").write_text(json.dumps(content))
    data = load_coco(tmp_path / "keypoints.json", folder / "val2017", on_error="raise")
    assert len(data.boxes_only) == len(content["annotations"]) == 32
    for record, other in zip(data.records, whole.records, strict=True):
        for instance, same in zip(record.instances, other.instances, strict=True):
            assert (instance.box, instance.area) == (same.box, same.area)
            np.testing.assert_array_equal(instance.keypoints, same.keypoints)


def test_batches(tmp_path, boxes, mixed):
    outlined = make(tmp_path, [OUTLINE] * 3, "outlined")
    for data, options, expected in (
        (boxes, {}, False),
        (mixed, {}, False),
        (outlined, {}, True),
        (outlined, {"masks": True}, True),
        (outlined, {"masks": False}, False),
        (boxes, {"masks": False, "cache": True}, False),
    ):
        for flip in (False, True):
            _, targets = next(iter(data.batches(2, min_size=64, augment=flip, seed=0, **options)))
            assert ("masks" in targets) == expected
            assert set(targets) - {"masks"} == {
                *("image_sizes", "original_sizes", "image_ids"),
                *("boxes", "classes", "crowd_boxes", "keypoints"),
            }
            if expected:
                assert (targets["masks"].numpy()[targets["classes"] >= 0] == 255).all()
            assert (targets["boxes"].numpy()[targets["classes"] >= 0, 2:] > 30).all()


def test_masks_that_are_not_there_are_named(boxes, mixed):
    words = r"2 of 5 objects of the data set 'mixed' .* annotation ids 2, 4.*heads=\[\]"
    with pytest.raises(ValueError, match=words):
        mixed.batches(2, masks=True)
    with pytest.raises(ValueError, match=r"4 of 4 objects .* annotation ids 2, 4, 1\."):
        boxes.batches(2, masks=True)


def test_a_mask_head_says_what_it_needs(mixed, tmp_path):
    model = tiny_model()
    model.compile(keras.optimizers.SGD(1e-3))
    words = r"mask head needs an outline .*2 of 5 objects .* ids 2, 4.*heads=\[\]"
    with pytest.raises(ValueError, match=words):
        model.fit(mixed.batches(2, min_size=64), verbose=0)
    with pytest.raises(ValueError, match=words):
        good = make(tmp_path, [OUTLINE], "good").batches(2, min_size=64)
        model.fit(good, validation_data=mixed.batches(2, min_size=64), verbose=0)
    with pytest.raises(ValueError, match=r"mask head needs 'masks'.*masks=True tells"):
        model.fit(mixed.batches(2, min_size=64).take(1), verbose=0)
    with pytest.raises(ValueError, match=r"mask head needs 'masks'.*masks=True tells"):
        model.evaluate(mixed.batches(2, min_size=64), verbose=0)


def test_a_run_with_masks_says_what_it_needs(boxes, tmp_path):
    good = make(tmp_path, [OUTLINE], "good")
    for train, val in ((boxes, good), (good, boxes)):
        with pytest.raises(ValueError, match=r"4 of 4 objects of the data set 'boxes'"):
            train_model(tiny_model(), train, val, tmp_path / "run", TrainingOptions(min_size=64))


def test_boxes_and_keypoints_are_trained(mixed):
    model = tiny_model(heads=(keypoint_head(2),))
    model.compile(keras.optimizers.SGD(1e-3), run_eagerly=True)
    history = model.fit(mixed.batches(2, min_size=64, max_size=96), verbose=0).history
    assert {"box_loss", "keypoint_loss"} < set(history) and "mask_loss" not in history
    assert all(np.isfinite(values).all() for values in history.values())
    assert history["keypoint_loss"][0] > 0
