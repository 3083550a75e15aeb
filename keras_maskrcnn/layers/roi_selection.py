"""Lets the mask and keypoint heads work on real RoIs only."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_maskrcnn.layers.geometry import GeometryLayer

Tensor = Any


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
        slots = ops.cast(ops.nonzero(ops.reshape(chosen, (-1,)))[0], "int32")
        flat = ops.take(ops.reshape(rois, (-1, 4)), slots, axis=0)
        return flat, slots // ops.cast(ops.shape(rois)[1], "int32"), slots


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
        return ops.take(ops.reshape(values, (-1, *values.shape[2:])), slots, axis=0)


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
        full = ops.scatter(slots[:, None], values, (batch * size, *values.shape[1:]))
        return ops.reshape(full, (batch, chosen.shape[1] or size, *values.shape[1:]))
