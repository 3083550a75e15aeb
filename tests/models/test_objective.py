"""What the loss of a model is made of, worked by hand."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import batch, tiny_model, training_outputs
from parity.golden_models import first_come_sampling

from keras_maskrcnn.heads import RPN, Box, Keypoint, Mask
from keras_maskrcnn.models.objective import join_targets, loss_parts

DECAY, RATE, CLIP = 0.2, 0.1, 0.5


def _model(weight_decay):
    backbone = {"norm": "frozen_statistics", "freeze_at": 2}
    return tiny_model(weight_decay=weight_decay, backbone=backbone)


def _gradients(model, images, targets):
    with tf.GradientTape() as tape:
        outputs = training_outputs(model, images, targets)
        loss = model.compute_loss(y=targets, y_pred=outputs)
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    return [
        np.zeros(v.shape) if g is None else np.asarray(g, "float64")
        for g, v in zip(gradients, model.trainable_variables, strict=True)
    ]


def test_weight_decay_pulls_trained_kernels_alone_and_is_clipped_with_the_rest():
    images, targets = batch()
    with first_come_sampling():
        plain = _gradients(_model(0.0), images, targets)
        model = _model(DECAY)
        model.compile(keras.optimizers.SGD(RATE, global_clipnorm=CLIP), run_eagerly=True)
        # By the loss itself, as a training loop of one's own has it.
        of_loss = _gradients(model, images, targets)
        before = {v.path: v.numpy().astype("float64") for v in model.weights}
        model.train_on_batch(images, targets)
    kinds = set()
    whole = []
    for variable, gradient in zip(model.trainable_variables, plain, strict=True):
        kinds.add(variable.name)
        decay = DECAY if variable.name == "kernel" else 0.0
        whole.append(gradient + decay * before[variable.path])
    assert kinds == {"kernel", "bias", "gamma", "beta"}
    for variable, own, expected in zip(model.trainable_variables, of_loss, whole, strict=True):
        np.testing.assert_allclose(own, expected, rtol=1e-3, atol=1e-5, err_msg=variable.path)
    norm = np.sqrt(sum(np.sum(g**2) for g in whole))
    data_norm = np.sqrt(sum(np.sum(g**2) for g in plain))
    # Clipped by another factor than without the penalty: it lies within the norm.
    assert norm > 1.2 * data_norm > CLIP
    for variable, gradient in zip(model.trainable_variables, whole, strict=True):
        expected = before[variable.path] - RATE * gradient * CLIP / norm
        np.testing.assert_allclose(variable, expected, rtol=1e-3, atol=1e-5, err_msg=variable.path)
    trained = {v.path for v in model.trainable_variables}
    frozen = [v for v in model.weights if v.path not in trained]
    assert any(v.path == "stem_conv/kernel" for v in frozen)
    for variable in frozen:
        np.testing.assert_array_equal(variable, before[variable.path], err_msg=variable.path)


def test_rpn_losses_are_over_the_samples_asked_for():
    """detectron2's divisor, not torchvision's count of what was sampled: fewer candidates than
    samples weigh less."""
    labels = np.full((2, 8), -1, "int32")
    labels[0, :2], labels[1, 0] = (1, 0), 0
    logits = np.zeros((2, 8), "float32")  # ln 2 each
    deltas = np.ones((2, 8, 4), "float32")
    outputs = {
        "rpn": {
            "logits": logits,
            "deltas": deltas,
            "labels": labels,
            "target_deltas": np.zeros_like(deltas),
        },
        "box": {
            "class_logits": np.zeros((1, 3), "float32"),
            "deltas": np.zeros((1, 2, 4), "float32"),
            "classes": np.array([2]),
            "target_deltas": np.zeros((1, 4), "float32"),
        },
    }
    box = Box()
    box.num_classes = 2
    network = SimpleNamespace(rpn=RPN(samples=10, beta=0.0), box=box, heads=())
    parts = loss_parts(network, outputs, [], 0.0)
    # 3 anchors of 2 * 10; torchvision would divide by 3.
    assert float(parts["rpn_class_loss"]) == pytest.approx(3 * np.log(2) / 20)
    assert float(parts["rpn_box_loss"]) == pytest.approx(4 / 20)


def test_both_divisors_are_equal_where_there_are_candidates_enough():
    """A picture of ordinary size: 256 of its anchors are sampled."""
    anchor_sizes = ((32,), (64,), (128,), (256,), (512,))
    model = tiny_model(rpn={"samples": 256, "anchor_sizes": anchor_sizes})
    outputs = training_outputs(model, *batch(1, 256, 320))
    assert int((np.asarray(outputs["rpn"]["labels"]) >= 0).sum()) == 256


def test_a_model_whose_keypoints_are_shifted_needs_the_size_on_disk():
    images, targets = batch(keypoints=2)
    network = SimpleNamespace(heads=(Mask(), Keypoint(num_keypoints=2, shift=0.5)))
    inputs, _ = join_targets(network, (images, targets))
    assert "original_sizes" in inputs
    del targets["original_sizes"]
    with pytest.raises(ValueError, match=r"'original_sizes'.*Received"):
        join_targets(network, (images, targets))


def test_weight_decay_is_scaled_with_the_loss():
    model = _model(DECAY)
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(RATE), initial_scale=8.0)
    model.compile(scaled)
    variables = model.trainable_variables
    kernel = next(k for k, v in enumerate(variables) if v.name == "kernel")
    gradients = [tf.ones(v.shape) for v in variables]
    gradients[kernel] = None
    for k, found in enumerate(model._with_decay(gradients)):
        scale = 8 * DECAY if variables[k].name == "kernel" else 0.0
        expected = (k != kernel) + scale * variables[k].numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
