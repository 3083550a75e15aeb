"""Which detections stay, by numbers worked by hand, and against every pair of masks."""

import dataclasses

import numpy as np
import pytest

from keras_maskrcnn.results import Detections


def make(boxes, scores, classes, masks=None, names=("cat", "dog"), size=(40, 60)):
    return Detections(
        boxes=np.array(boxes, "float32"),
        classes=np.array(classes),
        scores=np.array(scores),
        mask_probabilities=np.ones((len(boxes), 28, 28)) if masks is None else masks,
        image_size=size,
        class_names=names,
    )


THREE = make([[0, 0, 20, 20]] * 3, [0.9, 0.7, 0.5], [1, 0, 1])


@pytest.mark.parametrize(
    ("thresholds", "default", "kept"),
    [
        ({}, 0.5, [0, 1, 2]),
        ({}, 0.51, [0, 1]),
        ({"cat": 0.7}, 0.6, [0, 1]),  # reached, though float32 holds .7 a little lower
        ({"cat": 0.71}, 0.5, [0, 2]),
        ({"dog": 0.95, "cat": 0.1}, 1.0, [1]),
        ({"cat": 2}, 2, []),
    ],
)
def test_thresholds_of_classes(thresholds, default, kept):
    expected = THREE.scores[kept].tolist()
    assert THREE.above(thresholds, default=default).scores.tolist() == expected


def test_thresholds_of_classes_that_do_not_exist():
    with pytest.raises(ValueError, match=r"'dog'\]. Did you mean 'cat'\? Received: 'cats'"):
        THREE.above({"cats": 0.5})
    unnamed = dataclasses.replace(THREE, class_names=())
    assert unnamed.above({"class_1": 0.95}, default=0.0).names.tolist() == ["class_0"]
    assert len(THREE[:0].above({"cat": 0.5})) == 0


def test_mask_nms_by_hand():
    # 20 x 20 pixels; the second shares 10 x 20 with the first (IoU 1/3), the third 16 x 20 (2/3).
    boxes = [[0, 0, 20, 20], [10, 0, 30, 20], [4, 0, 24, 20]]
    found = make(boxes, [0.5, 0.8, 0.6], [0, 0, 0])
    # The best is the second; the third shares 14 x 20 with it: IoU 280 / 520.
    assert found.mask_nms(0.5).scores.tolist() == found.scores[[0, 1]].tolist()
    assert len(found.mask_nms(0.54)) == 2  # the first, of IoU 2/3 with the third
    assert found.mask_nms(0.54).scores.tolist() == found.scores[[1, 2]].tolist()
    assert len(found.mask_nms(0.67)) == 3
    assert found.mask_nms(0.3).scores.tolist() == found.scores[[1]].tolist()
    # An IoU of exactly the threshold stays.
    assert len(make([[0, 0, 20, 20], [0, 0, 20, 10]], [0.9, 0.8], [0, 0]).mask_nms(0.5)) == 2
    other = dataclasses.replace(found, classes=[0, 0, 1])
    assert len(other.mask_nms(0.5)) == 3
    assert len(other.mask_nms(0.5, across_classes=True)) == 2


def test_boxes_alike_with_masks_apart_stay():
    left, right = np.zeros((2, 4, 4))
    left[:, :2] = right[:, 2:] = 1
    found = make([[0, 0, 40, 40]] * 3, [0.9, 0.8, 0.7], [0] * 3, np.stack([left, right, left]))
    assert found.mask_nms(0.1).scores.tolist() == found.scores[:2].tolist()


@pytest.mark.parametrize("across", [False, True])
def test_mask_nms_against_every_pair(across):
    rng = np.random.default_rng(4)
    corners = rng.uniform(0, [40, 25], (40, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(4, 20, (40, 2))], axis=1)
    found = make(boxes, rng.permutation(40) / 40, rng.integers(0, 2, 40), rng.random((40, 4, 4)))
    masks = found.masks.reshape(40, -1).astype(int)
    shared = masks @ masks.T
    areas = masks.sum(axis=1)
    iou = shared / np.maximum(areas[:, None] + areas - shared, 1)
    kept = []
    for i in np.argsort(-found.scores):
        rivals = [k for k in kept if across or found.classes[k] == found.classes[i]]
        if all(iou[i, k] <= 0.25 for k in rivals):
            kept.append(i)
    assert 5 < len(kept) < 35
    expected = found.scores[sorted(kept)].tolist()
    assert found.mask_nms(0.25, across_classes=across).scores.tolist() == expected


def test_mask_nms_refusals():
    with pytest.raises(ValueError, match="Received: iou=1.5"):
        THREE.mask_nms(1.5)
    with pytest.raises(ValueError, match="without a mask head"):
        dataclasses.replace(THREE, mask_probabilities=None).mask_nms()
    assert len(THREE[:0].mask_nms()) == 0


def test_counts():
    assert THREE.counts() == {"cat": 1, "dog": 2}
    assert list(THREE[[0]].counts().items()) == [("cat", 0), ("dog", 1)]
    assert dataclasses.replace(THREE, class_names=()).counts() == {"class_1": 2, "class_0": 1}
