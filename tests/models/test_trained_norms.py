"""Batch norm that trains in the box head: statistics of the real RoIs, by hand in numpy."""

import numpy as np
import pytest
import tensorflow as tf
from helpers import batch, tiny_model
from parity.golden_models import watch

EPSILON, MOMENTUM, K = 1e-5, 0.9, 2


@pytest.fixture(scope="module")
def model():
    """More slots than there are candidates, in training and in inference: the rest is padding."""
    model = tiny_model(
        backbone={"norm": "frozen"},
        neck={"norm": "batch"},
        rpn={"proposals_train": 400, "proposals_test": 400},
        box={"norm": "batch", "convs": 1, "fcs": 1, "pool_size": 3, "samples": 1024},
        heads=(),
    )
    model.training_graph(())  # Not within a call, which would lengthen the layers' paths.
    head = model.network.box.head
    rng = np.random.default_rng(0)
    # Larger than at the start of training, so that logits and deltas tell the RoIs apart.
    for layer in (head.class_logits, head.box_deltas):
        layer.kernel.assign(rng.normal(0, 0.1, layer.kernel.shape))
    norm = head.convs[0].norm
    norm.gamma.assign(rng.uniform(0.5, 2, 256))
    norm.beta.assign(rng.normal(size=256))
    return model


def _head_by_hand(model, features, rois, owners):
    """Logits, deltas and the convolution's mean and variance for these RoIs and no others."""
    box = model.network.box
    x = np.asarray(box.pooler(features[:4], rois, owners), "float64")
    conv, fc = box.head.convs[0], box.head.fcs[0]
    kernel = conv.kernel.numpy()
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    x = sum(padded[:, i : i + 3, j : j + 3] @ kernel[i, j] for i in range(3) for j in range(3))
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    x = (x - mean) / np.sqrt(variance + EPSILON) * conv.norm.gamma.numpy() + conv.norm.beta.numpy()
    x = np.maximum(x, 0).reshape(len(x), -1)
    x = np.maximum(x @ fc.kernel.numpy() + fc.bias.numpy(), 0)
    logits, deltas = (
        x @ layer.kernel.numpy() + layer.bias.numpy()
        for layer in (box.head.class_logits, box.head.box_deltas)
    )
    return logits, deltas.reshape(-1, K, 4), mean, variance


def _pictures(images, targets):
    sizes = tf.constant(targets["image_sizes"])
    return {"images": tf.constant(images), "image_sizes": sizes}


def _statistics(model):
    norm = model.network.box.head.convs[0].norm
    return norm.moving_mean.numpy(), norm.moving_variance.numpy()


def _assert_moved(model, before, mean, variance):
    expected = [
        MOMENTUM * old + (1 - MOMENTUM) * new
        for old, new in zip(before, (mean, variance), strict=True)
    ]
    for value, wanted in zip(_statistics(model), expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-4, atol=1e-6)


def test_training_counts_the_sampled_rois_only(model):
    images, targets = batch()
    before = _statistics(model)
    inputs = {"images": tf.constant(images)}
    inputs |= {name: tf.constant(value) for name, value in targets.items()}
    del inputs["masks"]
    with watch(["feature_pyramid", "detection_targets"]) as seen:
        outputs = model(inputs, training=True)
    rois, classes, target_deltas, _ = (np.asarray(x) for x in seen["detection_targets"][1])
    real = classes >= 0
    assert 20 < real.sum() < 0.5 * real.size
    features = list(seen["feature_pyramid"][1].values())
    owners = np.nonzero(real)[0].astype("int32")
    logits, deltas, mean, variance = _head_by_hand(model, features, rois[real], owners)
    _assert_moved(model, before, mean, variance)

    classes, target_deltas = classes[real], target_deltas[real]
    log_sum = np.log(np.exp(logits).sum(-1))
    class_loss = (log_sum - logits[np.arange(len(classes)), classes]).mean()
    own = np.flatnonzero(classes < K)
    errors = np.abs(deltas[own, classes[own]] - target_deltas[own])
    beta = 1 / 9
    box_loss = np.where(errors < beta, errors**2 / (2 * beta), errors - beta / 2).sum()
    for mean_loss in model._loss_means:
        mean_loss.reset_state()
    model.compute_loss(y=inputs, y_pred=outputs)
    losses = {m.name: float(m.result()) for m in model._loss_means}
    assert losses["class_loss"] == pytest.approx(class_loss, rel=1e-5)
    assert losses["box_loss"] == pytest.approx(box_loss / len(classes), rel=1e-5)


def test_statistics_of_a_batch_without_targets_count_the_proposals_only(model):
    images, targets = batch(seed=1)
    before = _statistics(model)
    inputs = _pictures(images, targets)
    with watch(["feature_pyramid", "detections"]) as seen:
        model(inputs, training=True)
    rois, valid, logits, deltas, _ = (np.asarray(x) for x in seen["detections"][0])
    assert 20 < valid.sum() < 0.5 * valid.size
    features = list(seen["feature_pyramid"][1].values())
    owners = np.nonzero(valid)[0].astype("int32")
    expected = _head_by_hand(model, features, rois[valid], owners)
    np.testing.assert_allclose(logits[valid], expected[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(deltas[valid], expected[1], rtol=1e-4, atol=1e-4)
    _assert_moved(model, before, *expected[2:])


def test_padding_changes_no_prediction(model):
    images, targets = batch(seed=2)
    inputs = _pictures(images, targets)
    with watch(["feature_pyramid", "detections"]) as seen:
        model(inputs, training=False)
    rois, valid, logits, _, _ = (np.asarray(x) for x in seen["detections"][0])
    features = list(seen["feature_pyramid"][1].values())
    box = model.network.box
    for row, (boxes, real) in enumerate(zip(rois, valid, strict=True)):
        pooled = box.pooler(features[:4], boxes[real], np.full(real.sum(), row, "int32"))
        alone, _ = box.head(pooled)
        np.testing.assert_allclose(logits[row][real], alone, rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(logits[row][~real], 0)


C4 = {
    "neck": "c4",
    "rpn.anchor_sizes": ((8, 16, 32),),
    "box.pool_size": 4,
    "box.fcs": 0,
    "mask.pool_size": 4,
    "mask.convs": 0,
}
FPN = {"neck.norm": "batch", "box.norm": "batch", "box.convs": 1, "mask.norm": "batch"}


@pytest.mark.parametrize("neck", [FPN, C4])
def test_empty_slots_change_neither_losses_nor_statistics(neck):
    """All candidates fit into 64 slots: 256 only add padding."""
    found = []
    for slots in (64, 256):
        samples = {"box.samples": slots, "box.positive_fraction": 1.0, "rpn.proposals_train": 40}
        model = tiny_model(**neck, **samples)
        images, targets = batch()
        inputs = {"images": tf.constant(images)}
        inputs |= {name: tf.constant(value) for name, value in targets.items()}
        model.compute_loss(y=inputs, y_pred=model(inputs, training=True))
        losses = [float(mean.result()) for mean in model._loss_means]
        # Of all norms of the model, res5 of a C4 model included.
        statistics = [v.numpy() for v in model.non_trainable_variables if "moving" in v.name]
        found.append((losses, statistics))
    (one, before), (other, after) = found
    assert min(one) > 0
    np.testing.assert_allclose(other, one, rtol=1e-5)
    assert len(before) >= 24  # Two of each of the twelve norms of the backbone.
    for a, b in zip(before, after, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)
