"""What a cascade does that one stage does not, beside the contract of `test_box.py`."""

import numpy as np
import pytest
import tensorflow as tf

from keras_maskrcnn.heads import Cascade, HeadContext
from keras_maskrcnn.layers.roi_lists import RoILists

K = 2
LISTS = RoILists()
LIMITS = np.array([[64, 96]], "int32")
MAPS = [tf.random.stateless_normal((1, 64 // s, 96 // s, 3), (s, 0)) for s in (4, 8)]


def pool(pooler, boxes, owners):
    return pooler(MAPS, boxes, owners)


def built(**settings):
    box = Cascade(
        samples=16, positive_fraction=1.0, pool_size=2, dim=4, score_threshold=0.0, **settings
    )
    box.build(HeadContext(num_classes=K, roi_strides=(4, 8)))
    return box


def say(box, logits, deltas):
    """Stages that say the same of all RoIs: logits `[3][K + 1]`, deltas `[3][4]`."""
    rois = LISTS.select(tf.constant([[[8.0, 8, 40, 40]]]), tf.constant([[True]]))
    box.detect(pool, rois, LIMITS)  # makes the weights
    for head, own_logits, own_deltas in zip(box.heads, logits, deltas, strict=True):
        for layer, values in ((head.class_logits, own_logits), (head.box_deltas, own_deltas)):
            layer.kernel.assign(tf.zeros_like(layer.kernel))
            layer.bias.assign(values)


def test_scores_are_mean_probabilities_and_boxes_the_last_stages():
    box = built()
    logits = np.log([[[0.7, 0.2, 0.1]], [[0.1, 0.5, 0.4]], [[0.1, 0.2, 0.7]]])[:, 0]
    # To the right by .1, .1 and .05 of the width, each in the stage's own weights.
    moves = [[1.0, 0, 0, 0], [2.0, 0, 0, 0], [1.5, 0, 0, 0]]
    say(box, logits, moves)
    rois = LISTS.select(tf.constant([[[8.0, 8, 40, 40]]]), tf.constant([[True]]))
    found = box.detect(pool, rois, LIMITS)
    assert int(found["counts"][0]) == 2
    np.testing.assert_allclose(found["scores"][0, :2], [0.3, 0.3], rtol=1e-5)
    right = 32 * 0.25
    expected = [[8 + right, 8, 40 + right, 40]] * 2
    np.testing.assert_allclose(found["boxes"][0, :2], expected, atol=1e-4)
    given = box.classify(pool, rois)
    np.testing.assert_allclose(given[0, 0], [0.3, 0.3], rtol=1e-5)


def test_later_stages_train_on_boxes_of_the_ones_before():
    box = built()
    # The first stage moves what lies 4 pixels left of the object onto it.
    say(box, np.zeros((3, K + 1)), [[10 * 4 / 32, 0, 0, 0], [0] * 4, [0] * 4])
    objects, classes = np.array([[[12, 8, 44, 40]]], "float32"), np.array([[1]], "int32")
    proposals = np.array([[[8, 8, 40, 40], [60, 30, 76, 46]]], "float32")
    valid, crowds = np.array([[True, True]]), np.zeros((1, 1, 4), "float32")
    outputs, sampled = box.train(pool, LISTS, proposals, valid, objects, classes, crowds, LIMITS)
    # Heads that describe boxes see the first stage's: the proposals and the object.
    order = np.argsort(np.array(sampled.rois)[:, 0])
    np.testing.assert_array_equal(
        np.array(sampled.rois)[order], [proposals[0, 0], objects[0, 0], proposals[0, 1]]
    )
    first, second, third = outputs.values()
    np.testing.assert_array_equal(np.array(first["classes"])[order], [1, 1, K])
    deltas = np.array(first["target_deltas"])[order]
    np.testing.assert_allclose(deltas[:2, 0], [10 * 4 / 32, 0], atol=1e-5)
    for stage, weight in ((second, 20), (third, 30)):
        # The proposal lies on the object now, and the object itself 4 pixels to its right.
        np.testing.assert_array_equal(np.array(stage["classes"])[order], [1, 1, K])
        deltas = np.array(stage["target_deltas"])[order]
        np.testing.assert_allclose(deltas[:2, 0], [0, -weight * 4 / 32], atol=1e-5)


def test_a_box_that_is_no_longer_good_enough_is_background():
    box = built(ious=(0.5, 0.6, 0.9))
    say(box, np.zeros((3, K + 1)), [[0] * 4] * 3)
    objects, classes = np.array([[[8, 8, 40, 40]]], "float32"), np.array([[0]], "int32")
    proposals = np.array([[[8, 8, 40, 32]]], "float32")  # IoU .75
    crowds = np.zeros((1, 1, 4), "float32")
    outputs, sampled = box.train(
        pool, LISTS, proposals, np.array([[True]]), objects, classes, crowds, LIMITS
    )
    at = np.argmin(np.array(sampled.rois)[:, 3])
    found = [int(np.array(stage["classes"])[at]) for stage in outputs.values()]
    assert found == [0, 0, K]


def test_stages_and_weights_must_agree():
    with pytest.raises(ValueError, match=r"ious and weights for each.* Received: ious=\(0.5,\)"):
        Cascade(ious=(0.5,))
    with pytest.raises(ValueError, match=r"Received: ious\[1\]=1.5"):
        Cascade(ious=(0.5, 1.5, 0.7))
