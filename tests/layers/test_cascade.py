"""What passes between the stages of a cascade, worked by hand."""

import numpy as np
import tensorflow as tf

from keras_maskrcnn.layers.cascade import RefineBoxes, RelabelRoIs, ScaleGradient


def test_boxes_are_refined_clipped_and_carry_no_gradient():
    boxes = tf.constant([[10, 10, 30, 50], [0, 0, 8, 8], [40, 40, 60, 60]], tf.float32)
    # Half a width to the right; twice as wide; far out of the picture.
    deltas = np.zeros((3, 1, 4), "float32")
    deltas[0, 0, 0] = 0.5 * 20
    deltas[1, 0, 2] = np.log(2) * 10
    deltas[2, 0, 0] = 100 * 20
    layer = RefineBoxes((20.0, 20.0, 10.0, 10.0))
    deltas = tf.constant(deltas)
    with tf.GradientTape() as tape:
        tape.watch(deltas)
        refined = layer(boxes, deltas, np.int32([0, 1, 1]), np.int32([[64, 64], [48, 56]]))
    expected = [[20, 10, 40, 50], [0, 0, 12, 8], [56, 40, 56, 48]]  # the last is empty
    np.testing.assert_allclose(refined, expected, atol=1e-4)
    assert tape.gradient(refined, deltas) is None


def test_all_boxes_are_labelled_by_the_stages_own_iou():
    boxes = np.array([[[0, 0, 10, 10], [20, 20, 40, 40]]], "float32")
    classes = np.array([[2, 0]], "int32")
    rois = np.array(
        [
            [
                [0, 0, 10, 8],  # IoU .8
                [0, 0, 10, 6],  # IoU .6
                [20, 20, 40, 34],  # IoU .7, which is enough
                [50, 50, 60, 60],  # nothing
                [5, 5, 5, 9],  # empty
                [60, 0, 70, 10],  # within a crowd
                [0, 0, 10, 10],  # a slot that is not real
            ]
        ],
        "float32",
    )
    valid = np.array([[True] * 6 + [False]])
    crowds = np.array([[[58, 0, 72, 12]]], "float32")
    layer = RelabelRoIs(3, 0.7, (1.0, 1.0, 1.0, 1.0))
    found, deltas = layer(rois, valid, boxes, classes, crowds)
    np.testing.assert_array_equal(found, [[2, 3, 0, 3, -1, -1, -1]])
    np.testing.assert_allclose(deltas[0, 0], [0, 0.125, 0, np.log(10 / 8)], rtol=1e-5)
    np.testing.assert_allclose(deltas[0, 2], [0, 3 / 14, 0, np.log(20 / 14)], rtol=1e-5)
    nothing = layer(rois, valid, boxes, np.full_like(classes, -1), crowds)[0]
    np.testing.assert_array_equal(nothing, [[3, 3, 3, 3, -1, -1, -1]])


def test_values_stay_and_their_gradient_is_scaled():
    layer = ScaleGradient(1 / 3)
    values = tf.constant([[1.25, -7e6], [3e-9, 0.1]])
    with tf.GradientTape() as tape:
        tape.watch(values)
        result = layer(values)
        total = tf.reduce_sum(result * [[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(result, values)
    expected = np.array([[1, 2], [3, 4]]) / 3
    np.testing.assert_allclose(tape.gradient(total, values), expected, rtol=1e-6)
