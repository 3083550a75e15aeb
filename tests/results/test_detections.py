"""One picture's result: what it keeps, how it is cut, and how it leaves the package."""

import dataclasses
import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from keras_maskrcnn.results import Detections


def make(count=3, masks=True, keypoints=False):
    boxes = np.array([[0, 0, 4, 4], [2, 1, 8, 7], [5, 5, 9, 6]], "float32")[:count]
    return Detections(
        boxes=boxes,
        classes=np.array([1, 0, 1])[:count],
        scores=np.array([0.9, 0.6, 0.3])[:count],
        mask_probabilities=np.ones((count, 28, 28)) if masks else None,
        image_size=(8, 10),
        class_names=["cat", "dog"],
        keypoints=np.arange(count * 6.0).reshape(count, 2, 3) if keypoints else None,
    )


def test_fields_and_names():
    found = make()
    assert len(found) == 3
    assert found.boxes.dtype == np.float32
    assert found.names.tolist() == ["dog", "cat", "dog"]
    assert make(0).names.tolist() == []
    assert dataclasses.replace(found, class_names=()).names.tolist()[:2] == ["class_1", "class_0"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.scores = np.zeros(3)


def test_masks_fill_their_boxes():
    masks = make().masks
    assert masks.shape == (3, 8, 10)
    assert masks.dtype == bool
    np.testing.assert_array_equal(masks.sum((1, 2)), [16, 36, 4])
    assert masks[1, 1:7, 2:8].all()


def test_masks_are_pasted_once():
    found = make()
    assert found.masks is found.masks


def test_rles_equal_masks():
    found = make()
    np.testing.assert_array_equal(
        np.stack([coco_mask.decode(rle) for rle in found.rles()]), found.masks
    )


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (0, [0]),
        (-1, [2]),
        (np.int64(1), [1]),
        (slice(1, None), [1, 2]),
        (slice(None, None, -1), [2, 1, 0]),
        ([2, 0], [2, 0]),
        ([], []),
        (np.array([True, False, True]), [0, 2]),
        ([False, True, False], [1]),
        (np.zeros(3, bool), []),
    ],
)
def test_indexing(index, expected):
    found = make(keypoints=True)
    cut = found[index]
    assert isinstance(cut, Detections)
    np.testing.assert_array_equal(cut.boxes, found.boxes[expected])
    np.testing.assert_array_equal(cut.scores, found.scores[expected])
    np.testing.assert_array_equal(cut.classes, found.classes[expected])
    np.testing.assert_array_equal(cut.keypoints, found.keypoints[expected])
    np.testing.assert_array_equal(cut.masks, found.masks[expected])


def test_index_errors():
    with pytest.raises(IndexError, match="3 detections"):
        make()[3]
    with pytest.raises(IndexError):
        make()[np.array([True, False])]


def test_iteration():
    assert [(len(d), d.names[0]) for d in make()] == [(1, "dog"), (1, "cat"), (1, "dog")]


def test_to_coco_is_json():
    results = json.loads(json.dumps(make(keypoints=True).to_coco(7, [10, 20])))
    assert [r["category_id"] for r in results] == [20, 10, 20]
    assert {r["image_id"] for r in results} == {7}
    assert results[1]["bbox"] == [2, 1, 6, 6]
    assert results[1]["score"] == pytest.approx(0.6)
    assert coco_mask.area(results[1]["segmentation"]) == 36
    assert results[0]["keypoints"] == [-0.5, 0.5, 2, 2.5, 3.5, 5]
    plain = make(masks=False).to_coco(7, [10, 20])
    assert set(plain[0]) == {"image_id", "category_id", "bbox", "score"}
    assert make(0).to_coco(7, []) == []
    with pytest.raises(ValueError, match="category_ids=\\[10\\]"):
        make().to_coco(7, [10])


def padded_outputs():
    boxes = np.zeros((2, 5, 4), "float32")
    boxes[1, :3] = [[0, 0, 80, 40], [20, 10, 101, 51], [110, 3, 120, 9]]
    return {
        "boxes": boxes,
        "classes": np.array([[-1] * 5, [1, 0, 0, -1, -1]]),
        "scores": np.array([[0] * 5, [0.9, 0.8, 0.7, 0, 0]], "float32"),
        "masks": np.ones((2, 5, 28, 28), "float32"),
        "keypoints": np.full((2, 5, 3, 3), 10.0, "float32"),
        "counts": np.array([0, 3]),
    }


def test_from_padded():
    outputs = padded_outputs()
    # Rows are twice and columns half as many in the original.
    options = {"image_size": (50, 100), "original_size": (100, 50), "class_names": ["a", "b"]}
    found = Detections.from_padded(outputs, 1, **options)
    # The second box is clipped to the picture; the third keeps no area and goes.
    np.testing.assert_allclose(found.boxes, [[0, 0, 40, 80], [10, 20, 50, 100]])
    assert found.names.tolist() == ["b", "a"]
    np.testing.assert_allclose(found.keypoints[0, 0], [5, 20, 10])
    assert found.masks.shape == (2, 100, 50)
    np.testing.assert_array_equal(outputs["keypoints"], 10.0)
    assert len(Detections.from_padded(outputs, 0, **options)) == 0


def test_from_padded_without_heads():
    outputs = {k: v for k, v in padded_outputs().items() if k not in ("masks", "keypoints")}
    found = Detections.from_padded(outputs, 1, image_size=(50, 100), original_size=(50, 100))
    assert found.keypoints is None
    with pytest.raises(ValueError, match="mask head"):
        _ = found.masks


def test_repr():
    text = repr(make())
    assert text.splitlines()[0] == "Detections: 3 objects in a picture of 10 x 8 pixels"
    assert text.splitlines()[2].split() == ["0", "dog", "0.900", "0.0", "0.0", "4.0", "4.0"]
    many = make()[[0] * 25]
    assert repr(many).splitlines()[-1].strip() == "and 15 more"
    assert repr(make(0)) == "Detections: 0 objects in a picture of 10 x 8 pixels"
    assert "1 object " in repr(make(1))


def test_refuses_unequal_counts():
    fields = {f.name: getattr(make(), f.name) for f in dataclasses.fields(Detections)}
    for name in ("classes", "scores", "mask_probabilities"):
        with pytest.raises(ValueError, match=f"Received: {name} of shape"):
            Detections(**{**fields, name: fields[name][:2]})
    with pytest.raises(ValueError, match="keypoints"):
        Detections(**{**fields, "keypoints": np.zeros((3, 4))})
