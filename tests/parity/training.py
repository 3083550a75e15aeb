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
    library_slots,
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
# The recordings say how far rounding goes here: weights moved by 1e-6 of their size move single
# norms by 9e-4 (group norm) and by 5e-3 (batch norm of two pictures). Done to ours, the former
# moves samples by .014; and gradients of the latter differ by .0097 in a norm and .11 in a sample
# between moments in one pass and in two. Half of all tensors are much nearer.
OTHER_GRADIENTS = {
    "d2_mask_r50_fpn_gn": {
        "norm": 1e-3,
        "sum": 1e-3,
        "samples": 2e-2,
        "norm, median": 3e-4,
        "samples, median": 3e-3,
    },
    "d2_mask_r50_fpn_lsj": {
        "norm": 2e-2,
        "sum": 2e-2,
        "samples": 0.3,
        "norm, median": 2e-3,
        "samples, median": 5e-2,
    },
}

STATISTIC = 1e-4  # relative
# PyTorch stores the unbiased variance of a batch, Keras the biased one: 1/n less, of n values of
# a channel, in the tenth that a step contributes. The smallest maps have some hundred values.
VARIANCE = 1e-3
_ByPath = dict[str, np.ndarray]

_LOSSES = {
    "rpn_class_loss": ("loss_objectness", "loss_rpn_cls"),
    "rpn_box_loss": ("loss_rpn_box_reg", "loss_rpn_loc"),
    "class_loss": ("loss_classifier", "loss_cls"),
    **{
        f"{ours}_loss_{stage + 1}": ("", f"loss_{theirs}_stage{stage}")
        for ours, theirs in (("class", "cls"), ("box", "box_reg"))
        for stage in range(3)
    },
    "box_loss": ("loss_box_reg", "loss_box_reg"),
    "mask_loss": ("loss_mask", "loss_mask"),
    "keypoint_loss": ("loss_keypoint", "loss_keypoint"),
}


def training_checks(name: str, model: MaskRCNN) -> Record:
    """Losses of the batch of two, and their gradients, with the samples of the recording."""
    record = Record(name)
    losses, total, gradients, statistics = _run(name, model)
    expected = info(name)["train"]["losses"]
    for loss, value in losses.items():
        if loss in _LOSSES:
            key = _LOSSES[loss][0 if is_torchvision(name) else 1]
            record.relative(f"training: {key}", value, expected[key], LOSS)
    record.relative("training: total", total, info(name)["train"]["total"], LOSS)
    _gradients(record, torch_gradients(model, name, gradients))
    if "bn_after_names" in arrays(name):
        _statistics(record, model, statistics)
    return record


def _run(name: str, model: MaskRCNN) -> tuple[dict[str, float], float, _ByPath, _ByPath]:
    """Losses, their sum, gradients, statistics after the step; the model stays as it was."""
    images, sizes = batch(name)
    truth = {key: tf.constant(value) for key, value in targets(name, sizes).items()}
    variables = model.trainable_variables
    stored = [w for w in model.non_trainable_variables if "moving_" in w.path]
    before = [w.numpy() for w in stored]
    with first_come_sampling(), _recomputed_blocks(), tf.GradientTape() as tape:
        outputs = model({"images": tf.constant(images), **truth}, training=True)
        for mean in model._loss_means:
            mean.reset_state()
        total = model.compute_loss(y=truth, y_pred=outputs)
        # Blocks that are computed again for their gradient would move them again.
        after = {w.path: w.numpy() for w in stored}
    gradients = tape.gradient(total, [v.value for v in variables])
    losses = {mean.name: float(mean.result()) for mean in model._loss_means}
    by_path = {
        v.path: np.zeros(v.shape) if g is None else np.asarray(g)
        for v, g in zip(variables, gradients, strict=True)
    }
    for variable, value in zip(stored, before, strict=True):
        variable.assign(value)
    return losses, float(total), by_path, after


def _statistics(record: Record, model: MaskRCNN, after: _ByPath) -> None:
    """Running statistics of all norms after one step."""
    recorded = arrays(record.file)
    expected = dict(zip(recorded["bn_after_names"], recorded["bn_after_first8"], strict=True))
    variables = [w for w in model.non_trainable_variables if w.path in after]
    slots = [s for s in library_slots(model, record.file, variables) if s.names[0] in expected]
    record.equal("statistics: tensors", len(slots), len(expected))
    for kind, quantity in (("running_mean", "means"), ("running_var", "variances")):
        pairs = [
            (after[s.variable.path][:8], expected[s.names[0]])
            for s in slots
            if s.names[0].endswith(kind)
        ]
        ours, theirs = (np.concatenate(values) for values in zip(*pairs, strict=True))
        if kind == "running_mean":
            record.relative(f"statistics: running {quantity}", ours, theirs, STATISTIC)
        else:
            largest = np.abs(ours / theirs - 1).max()
            record.relative(f"statistics: running {quantity}", largest, 0.0, VARIANCE)


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
    usual = KEYPOINT_GRADIENT if "keypoint" in record.file else GRADIENT
    allowed = OTHER_GRADIENTS.get(record.file, usual)
    sampled = dict(zip(recorded["train_grad16_names"], recorded["train_grad16"], strict=True))
    norms: dict[str, Any] = info(record.file)["train"]["grad_l2_and_sum"]
    trained = {key for key, value in norms.items() if value is not None}
    record.equal("gradients: tensors that train", len(set(gradients) ^ trained), 0)
    errors: dict[str, list[float]] = {"norm": [], "sum": [], "samples": []}
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
        for kind, value in found.items():
            errors[kind].append(value)
    values = {kind: max(own) for kind, own in errors.items()}
    values |= {f"{kind}, median": float(np.median(own)) for kind, own in errors.items()}
    for kind, limit in allowed.items():
        record.relative(f"gradients of {len(trained)} tensors: {kind}", values[kind], 0.0, limit)
    record.relative("gradients that are zero, over the largest", nothing, 0.0, 1e-6)
