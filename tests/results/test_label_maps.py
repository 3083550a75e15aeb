"""All masks of a picture in one, against a stack of them."""

import tracemalloc

import numpy as np
import pytest
from PIL import Image

from keras_maskrcnn.results import Detections


def make(boxes, scores, masks=None, size=(40, 60)):
    return Detections(
        boxes=np.array(boxes, "float32"),
        classes=np.zeros(len(boxes), int),
        scores=np.array(scores),
        mask_probabilities=np.ones((len(boxes), 28, 28)) if masks is None else masks,
        image_size=size,
    )


def test_the_better_lies_above_by_hand():
    found = make([[0, 0, 20, 20], [10, 10, 30, 30], [12, 12, 16, 16]], [0.5, 0.9, 0.5])
    labels = found.label_map()
    assert labels.dtype == np.int32 and labels.shape == (40, 60)
    assert [(labels == k).sum() for k in range(4)] == [2400 - 700, 300, 400, 0]
    assert (labels[10:30, 10:30] == 2).all()
    # Of equal scores the first is above.
    assert (found[[2, 0]].label_map() == 1).sum() == 16
    assert (found[[0, 2]].label_map() == 2).sum() == 0


def test_equals_the_stack_of_masks():
    rng = np.random.default_rng(0)
    corners = rng.uniform(-5, [60, 40], (30, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(2, 30, (30, 2))], axis=1)
    found = make(boxes, rng.permutation(30) / 30, rng.random((30, 7, 7)))
    scores = np.where(found.masks, found.scores[:, None, None], -1)
    expected = np.where(found.masks.any(axis=0), scores.argmax(axis=0) + 1, 0)
    labels = found.label_map()
    np.testing.assert_array_equal(labels, expected)
    assert len(np.unique(labels)) > 15


def test_files_hold_16_bits(tmp_path):
    count = 300
    boxes = [[2 * (k % 30), 3 * (k // 30), 2 * (k % 30) + 2, 3 * (k // 30) + 3] for k in range(300)]
    found = make(boxes, np.linspace(1, 0.5, count))
    found.save_label_map(tmp_path / "labels.png")
    with Image.open(tmp_path / "labels.png") as picture:
        assert picture.format == "PNG" and picture.mode == "I;16"
        labels = np.asarray(picture)
    np.testing.assert_array_equal(labels, found.label_map())
    assert labels.max() == count and labels[29, 59] == 300 and labels[0, 2] == 2


def test_refusals(tmp_path):
    many = make(np.zeros((65_536, 4)), np.zeros(65_536), np.zeros((65_536, 1, 1)))
    with pytest.raises(ValueError, match="at most 65535 objects. Received: 65536 objects"):
        many.save_label_map(tmp_path / "labels.png")
    assert not (tmp_path / "labels.png").exists()
    many[1:].save_label_map(tmp_path / "labels.png")
    plain = Detections(np.zeros((1, 4)), [0], [0.5], None, (4, 4))
    with pytest.raises(ValueError, match="without a mask head"):
        plain.label_map()
    assert not make(np.zeros((0, 4)), []).label_map().any()


def test_memory_is_that_of_one_picture():
    """Two thousand objects: a stack of their masks would take 2 GB."""
    places = np.stack(np.meshgrid(np.arange(50) * 20, np.arange(40) * 25), -1).reshape(-1, 2)
    boxes = np.concatenate([places, places + 18], axis=1)
    found = make(boxes, np.linspace(1, 0, 2000), size=(1000, 1000))
    tracemalloc.start()
    labels = found.label_map()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (labels > 0).sum() == 2000 * 18 * 18
    assert peak < 8_000_000
