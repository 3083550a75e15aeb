"""Losses and their gradients against torchvision's recordings, and corner cases."""

import numpy as np
import pytest
import tensorflow as tf

from keras_maskrcnn import losses
from keras_maskrcnn.ops.mask_targets import keypoint_targets, masks_from_pictures

TOLERANCE = {"rtol": 1e-5, "atol": 1e-7}


def _gradients(function, *inputs):
    inputs = [tf.constant(x) for x in inputs]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = function(*inputs)
    return value, tape.gradient(value, inputs)


@pytest.fixture(scope="module")
def recorded(golden):
    return golden("losses")


def test_rpn(recorded):
    labels = np.full((2, 300), -1, "int32")
    labels[recorded["rpn_neg_mask"] > 0] = 0
    labels[recorded["rpn_pos_mask"] > 0] = 1
    targets = recorded["rpn_targets"].reshape(2, 300, 4)
    sampled = float((labels >= 0).sum())

    def both(logits, deltas):
        return tf.stack(losses.rpn_losses(logits, deltas, labels, targets, sampled, 1 / 9))

    logits = recorded["rpn_objectness"].reshape(2, 300)
    deltas = recorded["rpn_deltas"].reshape(2, 300, 4)
    values, (grad_logits, grad_deltas) = _gradients(both, logits, deltas)
    np.testing.assert_allclose(values[0], recorded["rpn_loss_objectness"], **TOLERANCE)
    np.testing.assert_allclose(values[1], recorded["rpn_loss_box"], **TOLERANCE)
    np.testing.assert_allclose(
        tf.reshape(grad_logits, (600, 1)), recorded["rpn_grad_objectness"], **TOLERANCE
    )
    np.testing.assert_allclose(
        tf.reshape(grad_deltas, (600, 4)), recorded["rpn_grad_deltas"], **TOLERANCE
    )


def test_class_and_box(recorded):
    # torchvision has the background first, ours comes last.
    logits = np.roll(recorded["frcnn_logits"], -1, axis=1)
    labels = recorded["frcnn_labels"].astype("int32")
    classes = np.where(labels == 0, 10, labels - 1).astype("int32")
    value, (gradient,) = _gradients(lambda x: losses.class_loss(x, classes), logits)
    np.testing.assert_allclose(value, recorded["frcnn_loss_cls"], **TOLERANCE)
    np.testing.assert_allclose(
        np.roll(gradient, 1, axis=1), recorded["frcnn_grad_logits"], **TOLERANCE
    )
    deltas = recorded["frcnn_box_regression"].reshape(64, 11, 4)[:, 1:]
    value, (gradient,) = _gradients(
        lambda x: losses.box_loss(x, classes, recorded["frcnn_targets"], 10, 1 / 9), deltas
    )
    np.testing.assert_allclose(value, recorded["frcnn_loss_box"], **TOLERANCE)
    expected = recorded["frcnn_grad_box"].reshape(64, 11, 4)[:, 1:]
    np.testing.assert_allclose(gradient, expected, **TOLERANCE)


def test_mask_loss_and_targets(recorded):
    targets = []
    labels = []
    for i in (0, 1):
        own = recorded[f"mask_gt_masks_{i}"][recorded[f"mask_matched_{i}"]].astype("float32")
        targets.append(masks_from_pictures(own, recorded[f"mask_proposals_{i}"], 28, aligned=False))
        labels.append(recorded[f"mask_gt_labels_{i}"][recorded[f"mask_matched_{i}"]])
    targets = np.concatenate(targets)
    np.testing.assert_allclose(targets, recorded["mask_targets"], rtol=1e-5, atol=2e-6)
    rows, labels = np.arange(8), np.concatenate(labels)
    own = recorded["mask_logits"][rows, labels]
    value, (gradient,) = _gradients(lambda x: losses.mask_loss(x, recorded["mask_targets"]), own)
    np.testing.assert_allclose(value, recorded["mask_loss"], **TOLERANCE)
    np.testing.assert_allclose(gradient, recorded["mask_grad_logits"][rows, labels], **TOLERANCE)


def test_binary_mask_targets_equal_detectron2(recorded, golden):
    data = golden("d2_ops")
    for i in (0, 1):
        own = recorded[f"mask_gt_masks_{i}"][recorded[f"mask_matched_{i}"]].astype("float32")
        got = masks_from_pictures(own, recorded[f"mask_proposals_{i}"], 28, aligned=True)
        expected = np.unpackbits(data[f"mask_targets_{i}"], axis=-1)[..., :28]
        np.testing.assert_array_equal(np.asarray(got) >= 0.5, expected.astype(bool))


def test_keypoint_loss_and_targets(recorded):
    cells, valid = [], []
    for i in (0, 1):
        own = recorded[f"kp_gt_{i}"][recorded[f"kp_matched_{i}"]]
        cell, ok = keypoint_targets(own, recorded[f"kp_proposals_{i}"], 56)
        cells.append(cell)
        valid.append(ok)
    cells, valid = np.concatenate(cells), np.concatenate(valid)
    np.testing.assert_array_equal(valid, recorded["kp_valid"].astype(bool))
    np.testing.assert_array_equal(cells[valid], recorded["kp_target_index"][valid])
    logits = recorded["kp_logits"].transpose(0, 2, 3, 1)
    value, (gradient,) = _gradients(lambda x: losses.keypoint_loss(x, cells, valid), logits)
    np.testing.assert_allclose(value, recorded["kp_loss"], **TOLERANCE)
    np.testing.assert_allclose(
        np.transpose(gradient, (0, 3, 1, 2)), recorded["kp_grad_logits"], **TOLERANCE
    )


def test_no_positives_give_zero_and_a_finite_gradient():
    cases = [
        (
            lambda x: losses.box_loss(x, np.full((2, 5), 3, "int32"), np.ones((2, 5, 4)), 3, 0.1),
            np.ones((2, 5, 3, 4), "float32"),
        ),
        (lambda x: losses.mask_loss(x, x), np.zeros((0, 28, 28), "float32")),
        (
            lambda x: losses.keypoint_loss(
                x, np.zeros((1, 2), "int32"), np.zeros((1, 2), dtype=bool)
            ),
            np.ones((1, 8, 8, 2), "float32"),
        ),
        (
            lambda x: losses.class_loss(x, np.full((3,), -1, "int32")),
            np.ones((3, 4), "float32"),
        ),
    ]
    for function, x in cases:
        value, (gradient,) = _gradients(function, x)
        assert float(value) == 0.0
        np.testing.assert_array_equal(gradient, np.zeros_like(x))


def test_losses_stay_finite_for_huge_logits():
    logits = np.array([[1e4, -1e4, 0.0]], "float32")
    assert np.isfinite(losses.binary_cross_entropy(logits, np.array([[0.0, 1.0, 1.0]]))).all()
    assert np.isfinite(losses.class_loss(logits, np.array([1], "int32")))


def test_smooth_l1_by_hand():
    x = np.array([-2.0, -0.05, 0.0, 0.1, 1.0], "float32")
    np.testing.assert_allclose(losses.smooth_l1(x, 0.1), [1.95, 0.0125, 0, 0.05, 0.95], rtol=1e-5)
    np.testing.assert_allclose(losses.smooth_l1(x, 0.0), [2, 0.05, 0, 0.1, 1])
