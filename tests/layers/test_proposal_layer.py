"""Proposals worked by hand."""

import numpy as np

from keras_maskrcnn.layers.proposal_layer import ProposalLayer


def _layer(**numbers):
    defaults = {"pre_nms_train": 3, "pre_nms_test": 2, "num_train": 4, "num_test": 3}
    return ProposalLayer(**{**defaults, **numbers})


ANCHORS = [
    np.array([[[0, 0, 10, 10], [1, 0, 11, 10], [30, 30, 40, 40]]], "float32"),
    np.array([[[0, 0, 10, 10]]], "float32"),
]
LOGITS = [np.array([[1.0, 3.0, -2.0]], "float32"), np.array([[2.0]], "float32")]
DELTAS = [np.zeros((1, 3, 4), "float32"), np.zeros((1, 1, 4), "float32")]
SIZES = np.array([[35, 100]], "int32")


def test_levels_do_not_suppress_each_other_and_boxes_are_clipped():
    boxes, logits, valid = _layer()(LOGITS, DELTAS, ANCHORS, SIZES, training=True)
    np.testing.assert_array_equal(valid, [[True, True, True, False]])
    # IoU of the first two anchors is 9 / 11 > .7; the box of the other level is untouched.
    np.testing.assert_array_equal(
        boxes, [[[1, 0, 11, 10], [0, 0, 10, 10], [30, 30, 40, 35], [0, 0, 0, 0]]]
    )
    np.testing.assert_array_equal(logits, [[3, 2, -2, 0]])


def test_inference_keeps_fewer_anchors_per_level():
    boxes, _, valid = _layer()(LOGITS, DELTAS, ANCHORS, SIZES, training=False)
    np.testing.assert_array_equal(valid, [[True, True, False]])
    np.testing.assert_array_equal(boxes[0, 2], np.zeros(4))


def test_boxes_outside_the_picture_are_dropped():
    boxes, _, valid = _layer()(LOGITS, DELTAS, ANCHORS, np.array([[20, 0]], "int32"), training=True)
    np.testing.assert_array_equal(valid, [[False] * 4])
    np.testing.assert_array_equal(boxes, np.zeros((1, 4, 4)))


def test_deltas_move_anchors():
    deltas = [np.array([[[0.5, 0, 0, 0]] * 3], "float32"), DELTAS[1]]
    boxes, _, _ = _layer(nms_iou=1.0)(LOGITS, deltas, ANCHORS, SIZES, training=True)
    np.testing.assert_allclose(boxes[0, 0], [6, 0, 16, 10])
