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
        lambda i: iou[i][None], iou.shape[0], (1, iou.shape[1]), high, low, best, True
    )
    got = np.where(labels == 1, matched, np.where(labels == 0, -1, -2))[0]
    np.testing.assert_array_equal(got, data[f"m{case}_{kind}"])


def test_an_object_without_any_overlap_matches_nothing_by_default(golden):
    # Case m5: torchvision turns every zero-IoU anchor positive; ours does not.
    data = golden("matcher")
    iou = ops.convert_to_tensor(data["m5_iou"])
    _, labels = match(lambda i: iou[i][None], iou.shape[0], (1, iou.shape[1]), 0.7, 0.3, True)
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
