"""Detections worked by hand."""

import numpy as np
import pytest

from keras_maskrcnn.layers.detection_layer import DetectionLayer

SIZES = np.array([[100, 100]], "int32")


def _detect(rois, probabilities, deltas=None, valid=None, **options):
    rois = np.array([rois], "float32")
    logits = np.log(np.array([probabilities], "float32"))
    num_classes = logits.shape[-1] - 1
    if deltas is None:
        deltas = np.zeros((1, rois.shape[1], num_classes, 4), "float32")
    valid = np.ones(rois.shape[:2], bool) if valid is None else np.array([valid])
    found = DetectionLayer(**options)(rois, valid, logits, deltas, SIZES)
    return {name: np.asarray(value) for name, value in found.items()}


def test_every_class_over_the_threshold_is_a_detection():
    found = _detect([[10, 10, 30, 30]], [[0.5, 0.3, 0.04, 0.16]], max_detections=4)
    np.testing.assert_array_equal(found["counts"], [2])
    np.testing.assert_array_equal(found["classes"], [[0, 1, -1, -1]])
    np.testing.assert_allclose(found["scores"], [[0.5, 0.3, 0, 0]], rtol=1e-5)
    np.testing.assert_array_equal(found["boxes"][0, 1], [10, 10, 30, 30])


def test_suppression_is_per_class():
    rois = [[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 9]]
    probabilities = [[0.9, 0.0, 0.1], [0.8, 0.0, 0.2], [0.0, 0.7, 0.3]]
    found = _detect(rois, np.maximum(probabilities, 1e-9), max_detections=3)
    np.testing.assert_array_equal(found["classes"], [[0, 1, -1]])
    np.testing.assert_allclose(found["scores"][0, :2], [0.9, 0.7], rtol=1e-5)


@pytest.mark.parametrize(
    ("nms", "classes", "scores"),
    [
        ("per_class", [0, 1], [0.8, 0.6]),
        ("cross_class", [0], [0.8]),
        # IoU .8 with the second box of class 0, whose score of .5 falls to .1 and to .1390.
        ("soft_linear", [0, 1, 0], [0.8, 0.6, 0.1]),
        ("soft_gaussian", [0, 1, 0], [0.8, 0.6, 0.5 * np.exp(-(0.8**2) / 0.5)]),
    ],
)
def test_rules_of_suppression(nms, classes, scores):
    rois = [[0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 10]]
    probabilities = [[0.8, 0.0, 0.2], [0.5, 0.0, 0.5], [0.0, 0.6, 0.4]]
    found = _detect(rois, np.maximum(probabilities, 1e-9), max_detections=4, nms=nms)
    count = len(classes)
    np.testing.assert_array_equal(found["counts"], [count])
    np.testing.assert_array_equal(found["classes"][0], classes + [-1] * (4 - count))
    np.testing.assert_allclose(found["scores"][0], scores + [0.0] * (4 - count), rtol=1e-5)
    if count == 3:
        np.testing.assert_array_equal(found["boxes"][0, 2], [0, 0, 10, 8])


def test_scores_that_fall_to_the_threshold_are_no_detections():
    rois = [[0, 0, 10, 10], [0, 0, 10, 8]]
    probabilities = [[0.8, 0.2], [0.5, 0.5]]
    for threshold, count in ((0.09, 2), (0.11, 1)):
        found = _detect(rois, probabilities, nms="soft_linear", score_threshold=threshold)
        np.testing.assert_array_equal(found["counts"], [count])
    # exp(-.64 / .25) is .0773.
    found = _detect(rois, probabilities, nms="soft_gaussian", soft_sigma=0.25, score_threshold=0.0)
    np.testing.assert_allclose(found["scores"][0, :2], [0.8, 0.5 * np.exp(-2.56)], rtol=1e-5)


def test_each_class_has_its_own_box_and_boxes_are_clipped():
    deltas = np.zeros((1, 1, 2, 4), "float32")
    deltas[0, 0, 1] = [10, 0, 0, 0]  # one width to the right: weights are 10, 10, 5, 5
    found = _detect([[80, 0, 100, 20]], [[0.5, 0.4, 0.1]], deltas, max_detections=3)
    np.testing.assert_array_equal(found["counts"], [1])  # moved out of the picture: gone
    deltas[0, 0, 1] = [-5, 0, 0, 0]
    found = _detect([[80, 0, 100, 20]], [[0.5, 0.4, 0.1]], deltas, max_detections=3)
    np.testing.assert_allclose(found["boxes"][0, 1], [70, 0, 90, 20], rtol=1e-5)


def test_one_box_for_all_classes_is_given_to_each():
    deltas = np.array([[[[-5, 0, 0, 0]]]], "float32")
    found = _detect([[80, 0, 100, 20]], [[0.5, 0.4, 0.1]], deltas, max_detections=3)
    np.testing.assert_array_equal(found["classes"], [[0, 1, -1]])
    np.testing.assert_allclose(found["boxes"][0, :2], [[70, 0, 90, 20]] * 2, rtol=1e-5)


def test_padding_proposals_and_nothing_found():
    found = _detect([[0, 0, 10, 10]], [[0.9, 0.1]], valid=[False], max_detections=2)
    np.testing.assert_array_equal(found["counts"], [0])
    np.testing.assert_array_equal(found["classes"], [[-1, -1]])
    np.testing.assert_array_equal(found["boxes"], np.zeros((1, 2, 4)))
