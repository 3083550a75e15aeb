"""Lets the heads work on real RoIs only."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_maskrcnn.layers.geometry import GeometryLayer
from keras_maskrcnn.ops.gather import take

Tensor = Any


def at_least_one(values: Tensor) -> Tensor:
    """`values` `[P, ...]`, or one row of zeros when `P` is 0.

    For convolutions, whose results are then cut to `P` rows: TensorFlow's oneDNN kernels (seen in
    2.21) give an empty batch the channels of the input instead of the filters', and the next
    operation fails.
    """
    missing = ops.maximum(1 - ops.shape(values)[0], 0)
    padded = ops.pad(values, [[0, missing], *[[0, 0]] * (len(values.shape) - 1)])
    return ops.reshape(padded, (-1, *values.shape[1:]))  # with known sizes again


def are_real(values: Tensor) -> Tensor:
    """bool `[max(P, 1)]`: which rows of `at_least_one(values)` are rows of `values`."""
    count = ops.shape(values)[0]
    return ops.arange(ops.maximum(count, 1)) < count


def take_objects(values: Tensor, images: Tensor, matched: Tensor) -> Tensor:
    """`values[images, matched]`: `[B, N, ...]` -> `[P, ...]`."""
    # int64: TensorFlow multiplies and adds int32 on the host.
    images, matched = ops.cast(images, "int64"), ops.cast(matched, "int64")
    rows = images * ops.cast(ops.shape(values)[1], "int64") + matched
    shape = (-1, *(ops.shape(values)[i] for i in range(2, len(values.shape))))
    return take(ops.reshape(values, shape), rows)


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class TakeObjects(GeometryLayer):
    """The function `take_objects` as a layer, for Functional graphs; any dtype."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)

    def call(self, values: Tensor, images: Tensor, matched: Tensor) -> Tensor:
        return take_objects(values, images, matched)


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class AtLeastOne(GeometryLayer):
    """The function `at_least_one` as a layer, for Functional graphs; any dtype."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)

    def call(self, values: Tensor) -> Tensor:
        return at_least_one(values)


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class SameRows(GeometryLayer):
    """Cuts what was made of `AtLeastOne(rows)` to as many rows as `rows` has; any dtype.

    Call arguments:
        values: `[max(P, 1), ...]`.
        rows: `[P, ...]`.

    Returns:
        `[P, ...]`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)

    def call(self, values: Tensor, rows: Tensor) -> Tensor:
        return values[: ops.shape(rows)[0]]


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class SelectRoIs(GeometryLayer):
    """Lists the chosen RoIs of a batch, dropping padding: most slots are empty, heads are costly.

    Call arguments:
        rois: float32 `[B, S, 4]`.
        chosen: bool `[B, S]`.

    Returns:
        float32 `[P, 4]` RoIs, int32 `[P]` their image, int32 `[P]` their slot in `B * S`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_jit = False  # P depends on the data

    def call(self, rois: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # Not ops.nonzero: LiteRT cannot unstack its int64 result.
        # int32 only at the end: TensorFlow reshapes and divides it on the host.
        slots = ops.cast(ops.reshape(tf.where(ops.reshape(chosen, (-1,))), (-1,)), "int32")
        batch, size = ops.shape(rois)[:2]
        images = ops.broadcast_to(ops.arange(batch, dtype="int32")[:, None], (batch, size))
        images = ops.reshape(images, (-1,))
        return take(ops.reshape(rois, (-1, 4)), slots), take(images, slots), slots


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class TakeSlots(GeometryLayer):
    """Per-slot values of the selected RoIs.

    Call arguments:
        values: `[B, S, ...]`.
        slots: int32 `[P]` from `SelectRoIs`.

    Returns:
        `[P, ...]`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)

    def call(self, values: Tensor, slots: Tensor) -> Tensor:
        # int32 is reshaped on the host.
        wide = ops.cast(values, "int64") if values.dtype == "int32" else values
        return ops.cast(take(ops.reshape(wide, (-1, *values.shape[2:])), slots), values.dtype)


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class RestoreSlots(GeometryLayer):
    """Inverse of `TakeSlots`; empty slots are 0.

    Call arguments:
        values: float32 `[P, ...]`.
        slots: int32 `[P]`.
        chosen: bool `[B, S]`.

    Returns:
        float32 `[B, S, ...]`.
    """

    def call(self, values: Tensor, slots: Tensor, chosen: Tensor) -> Tensor:
        batch, size = ops.shape(chosen)
        column = ops.cast(ops.cast(slots, "float32")[:, None], "int32")  # Reshaped as floats.
        full = ops.scatter(column, values, (batch * size, *values.shape[1:]))
        return ops.reshape(full, (batch, chosen.shape[1] or size, *values.shape[1:]))
