"""Weights of a model of ours, in another of its architecture."""

from __future__ import annotations

import warnings

import keras
import numpy as np

from keras_maskrcnn.weights.layouts import depends_on_classes, split_path
from keras_maskrcnn.weights.report import LoadReport, Slot, fill

# Numbers that a layer may give for each class: a score, a mask; four deltas.
_PER_CLASS = (1, 2, 4)


def load_trained_weights(
    model: keras.Model, trained: keras.Model, source: str, *, fresh_classes: bool
) -> LoadReport:
    """Gives a model the weights of a trained one, variable by variable.

    Args:
        model: a `MaskRCNN`.
        trained: one of the same architecture, but for the classes.
        source: of the trained one, for the report.
        fresh_classes: leave the layers whose size depends on the classes as they are. Said loudly.

    Returns:
        What was loaded and what was left aside.

    Raises:
        ValueError: when a variable is in one of the models only, or has another shape; all are
            listed, and nothing is loaded.

    Warns:
        UserWarning: with `fresh_classes`, naming the layers that must be trained.
    """
    tensors = {v.path: keras.ops.convert_to_numpy(v) for v in trained.weights}
    counts = model.num_classes, trained.num_classes
    slots = []
    for variable in model.weights:
        fresh = fresh_classes and (
            depends_on_classes(split_path(variable)[0])
            or _counts_classes(variable, tensors.get(variable.path), *counts)
        )
        slots.append(Slot(variable, (variable.path,), lambda tensor: tensor, fresh))
    report = fill(slots, tensors, source=source, ignore={})
    warn_of_fresh(report)
    return report


def warn_of_fresh(report: LoadReport) -> None:
    """A warning with the layers that keep random weights, if any."""
    if report.fresh:
        warnings.warn(
            f"{report.source}: these layers keep random weights and must be trained before the "
            f"model is of use: {', '.join(report.fresh)}",
            stacklevel=3,
        )


def _counts_classes(
    variable: keras.Variable, tensor: np.ndarray | None, classes: int, others: int
) -> bool:
    """Whether two shapes differ as layers do that count classes: of heads that are not ours."""
    if tensor is None or classes == others:
        return False
    shape = tuple(variable.shape)
    if shape[:-1] != tensor.shape[:-1] or not shape:
        return False
    return shape[-1] - tensor.shape[-1] in [n * (classes - others) for n in _PER_CLASS]
