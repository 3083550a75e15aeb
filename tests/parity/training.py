"""Recorded models, training: losses and gradients."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from keras_maskrcnn.layers.conv_block import ConvBlock
from keras_maskrcnn.models.mask_rcnn import MaskRCNN
from parity.golden_files import arrays, info
from parity.golden_models import (
    batch,
    first_come_sampling,
    is_torchvision,
    targets,
    torch_gradients,
)
from parity.record import Record

LOSS = 1e-4  # relative
# Gradients jump where a ReLU's input crosses zero. Moving all weights by 1e-7 of their size moves
# these gradients as far as ours are from the recorded ones; the keypoint head, whose gradient
# comes from few cells and through eight ReLUs, jumps most.
GRADIENT = {"norm": 5e-4, "sum": 5e-4, "samples": 2e-3}
KEYPOINT_GRADIENT = {"norm": 3e-3, "sum": 3e-3, "samples": 4e-2}

_LOSSES = {
    "rpn_class_loss": ("loss_objectness", "loss_rpn_cls"),
    "rpn_box_loss": ("loss_rpn_box_reg", "loss_rpn_loc"),
    "class_loss": ("loss_classifier", "loss_cls"),
    "box_loss": ("loss_box_reg", "loss_box_reg"),
    "mask_loss": ("loss_mask", "loss_mask"),
    "keypoint_loss": ("loss_keypoint", "loss_keypoint"),
}


def training_checks(name: str, model: MaskRCNN) -> Record:
    """Losses of the batch of two, and their gradients, with the samples of the recording."""
    record = Record(name)
    losses, total, gradients = _run(name, model)
    expected = info(name)["train"]["losses"]
    for loss, value in losses.items():
        if loss in _LOSSES:
            key = _LOSSES[loss][0 if is_torchvision(name) else 1]
            record.relative(f"training: {key}", value, expected[key], LOSS)
    record.relative("training: total", total, info(name)["train"]["total"], LOSS)
    _gradients(record, torch_gradients(model, name, gradients))
    return record


def _run(name: str, model: MaskRCNN) -> tuple[dict[str, float], float, dict[str, np.ndarray]]:
    images, sizes = batch(name)
    truth = {key: tf.constant(value) for key, value in targets(name, sizes).items()}
    variables = model.trainable_variables
    with first_come_sampling(), _recomputed_blocks(), tf.GradientTape() as tape:
        outputs = model({"images": tf.constant(images), **truth}, training=True)
        for mean in model._loss_means:
            mean.reset_state()
        total = model.compute_loss(y=truth, y_pred=outputs)
    gradients = tape.gradient(total, [v.value for v in variables])
    losses = {mean.name: float(mean.result()) for mean in model._loss_means}
    by_path = {
        v.path: np.zeros(v.shape) if g is None else np.asarray(g)
        for v, g in zip(variables, gradients, strict=True)
    }
    return losses, float(total), by_path


@contextlib.contextmanager
def _recomputed_blocks() -> Iterator[None]:
    """Convolution blocks keep their inputs for the gradient, and nothing within: half as much."""
    original = ConvBlock.call

    def call(block: ConvBlock, *args: Any, **options: Any) -> Any:
        return tf.recompute_grad(lambda *inputs: original(block, *inputs, **options))(*args)

    ConvBlock.call = call
    try:
        yield
    finally:
        ConvBlock.call = original


def _gradients(record: Record, gradients: dict[str, np.ndarray]) -> None:
    recorded = arrays(record.file)
    allowed = KEYPOINT_GRADIENT if "keypoint" in record.file else GRADIENT
    sampled = dict(zip(recorded["train_grad16_names"], recorded["train_grad16"], strict=True))
    norms: dict[str, Any] = info(record.file)["train"]["grad_l2_and_sum"]
    trained = {key for key, value in norms.items() if value is not None}
    record.equal("gradients: tensors that train", len(set(gradients) ^ trained), 0)
    worst = {"norm": 0.0, "sum": 0.0, "samples": 0.0}
    largest = max(norms[key][0] for key in trained)
    nothing = 0.0
    for key in sorted(trained & set(gradients)):
        gradient = gradients[key].astype("float64")
        norm, total = norms[key]
        # Zero in exact arithmetic: maps that no sample reads; a bias under a softmax.
        if norm < 1e-6 * largest:
            nothing = max(nothing, np.linalg.norm(gradient) / largest)
            continue
        found = {
            "norm": abs(np.linalg.norm(gradient) - norm) / norm,
            # What a relative error of the gradient can do to the sum at most.
            "sum": abs(gradient.sum() - total) / (norm * math.sqrt(gradient.size)),
        }
        expected = sampled[key][~np.isnan(sampled[key])]
        step = max(1, gradient.size // 16)
        scale = max(np.abs(expected).max(), norm / math.sqrt(gradient.size))
        found["samples"] = np.abs(gradient[::step][:16] - expected).max() / scale
        worst = {kind: max(worst[kind], value) for kind, value in found.items()}
    for kind, value in worst.items():
        record.relative(f"gradients of {len(trained)} tensors: {kind}", value, 0.0, allowed[kind])
    record.relative("gradients that are zero, over the largest", nothing, 0.0, 1e-6)
