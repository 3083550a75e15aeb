"""Matching against torchvision's Matcher and cases worked by hand."""

import numpy as np
import pytest
from keras import ops

from keras_maskrcnn.ops.matching import ignore_crowds, match, match_boxes


@pytest.mark.parametrize("case", range(6))
@pytest.mark.parametrize("kind", ["rpn", "roi"])
def test_equals_torchvision(golden, case, kind):
    data = golden("matcher")
    iou = ops.convert_to_tensor(data[f"m{case}_iou"])
    high, low, best = (0.7, 0.3, True) if kind == "rpn" else (0.5, 0.5, False)
    matched, labels = match(
        lambda i: iou[i][None, None], iou.shape[0], (1, iou.shape[1]), high, low, best, True
    )
    got = np.where(labels == 1, matched, np.where(labels == 0, -1, -2))[0]
    np.testing.assert_array_equal(got, data[f"m{case}_{kind}"])


def test_an_object_without_any_overlap_matches_nothing_by_default(golden):
    # Case m5: torchvision turns every zero-IoU anchor positive; ours does not.
    data = golden("matcher")
    iou = ops.convert_to_tensor(data["m5_iou"])
    _, labels = match(lambda i: iou[i][None, None], iou.shape[0], (1, iou.shape[1]), 0.7, 0.3, True)
    lonely = data["m5_iou"].max(axis=1) == 0
    assert lonely.any()
    zero = data["m5_iou"].max(axis=0) == 0
    assert zero.any()
    assert (np.asarray(labels)[0][zero] == 0).all()


def test_best_anchor_rule_with_ties_by_hand():
    anchors = np.array([[[0, 0, 10, 10], [10, 0, 20, 10], [40, 0, 50, 10]]], "float32")
    gt = np.array([[[5, 0, 15, 10], [0, 0, 0, 0]]], "float32")  # IoU 1/3 with both; one padding
    valid = np.array([[True, False]])
    matched, labels = match_boxes(anchors, gt, valid, 0.7, 0.3, best_anchors=True)
    np.testing.assert_array_equal(labels, [[1, 1, 0]])
    np.testing.assert_array_equal(matched, [[0, 0, 0]])


def test_a_batch_with_and_without_objects():
    anchors = np.array([[[0, 0, 10, 10], [20, 20, 30, 30]]], "float32")
    gt = np.array([[[0, 0, 10, 10]], [[0, 0, 0, 0]]], "float32")
    valid = np.array([[True], [False]])
    _, labels = match_boxes(anchors, gt, valid, 0.7, 0.3, best_anchors=True, match_zero_iou=True)
    np.testing.assert_array_equal(labels, [[1, 0], [0, 0]])


def test_crowds_ignore_negatives_only():
    boxes = np.array(
        [[[0, 0, 10, 10], [0, 0, 10, 10], [6, 0, 16, 10], [50, 50, 60, 60]]], "float32"
    )
    labels = np.array([[1, 0, 0, 0]], "int32")
    crowds = np.array([[[0, 0, 10, 100], [0, 0, 0, 0]]], "float32")
    got = ignore_crowds(labels, boxes, crowds, overlap=0.7)
    np.testing.assert_array_equal(got, [[1, -1, 0, 0]])


def iou_table(boxes, gt):
    """float32 `[N, A]`, one pair after the other."""
    table = np.zeros((len(gt), len(boxes)), "float32")
    for n, (a1, b1, a2, b2) in enumerate(gt):
        for a, (x1, y1, x2, y2) in enumerate(boxes):
            shared = max(min(a2, x2) - max(a1, x1), 0) * max(min(b2, y2) - max(b1, y1), 0)
            table[n, a] = shared / ((x2 - x1) * (y2 - y1) + (a2 - a1) * (b2 - b1) - shared)
    return table


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 20])
def test_objects_of_several_turns(count):
    # Whole numbers: ties, between objects of different turns too, are exact.
    rng = np.random.default_rng(count)
    low = rng.integers(0, 12, (60, 2))
    boxes = np.concatenate([low, low + rng.integers(2, 6, (60, 2))], 1).astype("float32")
    low = rng.integers(0, 12, (count + 2, 2))
    gt = np.concatenate([low, low + rng.integers(2, 6, (count + 2, 2))], 1).astype("float32")
    # The second image has fewer; what stands behind them counts for nothing.
    valid = np.arange(count + 2) < np.array([[count], [count // 2]])
    matched, labels = match_boxes(boxes[None], np.stack([gt, gt]), valid, 0.7, 0.3, True)
    for image, there in enumerate((count, count // 2)):
        table = iou_table(boxes, gt[:there])
        best = table.max(0, initial=-1)
        expected = np.where(best < 0.3, 0, -1)
        top = table.max(1, keepdims=True)
        is_best = ((table == top) & (top > 0)).any(0) if there else np.zeros(60, bool)
        expected[(best >= 0.7) | is_best] = 1
        np.testing.assert_array_equal(labels[image], expected)
        if there:
            np.testing.assert_array_equal(np.asarray(matched)[image], table.argmax(0))


def test_crowds_of_several_turns():
    boxes = np.array([[[10 * k, 0, 10 * k + 10, 10] for k in range(30)]], "float32")
    chosen = np.random.default_rng(0).permutation(30)[:19]
    crowds = np.concatenate([boxes[:, chosen], np.zeros((1, 5, 4), "float32")], 1)
    got = ignore_crowds(np.zeros((1, 30), "int32"), boxes, crowds, overlap=0.7)
    np.testing.assert_array_equal(np.flatnonzero(np.asarray(got)[0]), np.sort(chosen))
