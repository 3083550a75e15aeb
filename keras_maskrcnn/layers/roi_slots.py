"""RoIs of all images in one list with padding, whose length is known before any RoI is.

In `RoILists`' place where XLA compiles the model: it must know every shape. Heads look at padding
too, which takes the time of as many RoIs as there could be; losses and results leave it out.
Legend: `B` images, `S` slots for each, `P` RoIs in the list.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_maskrcnn.layers.geometry import GeometryLayer
from keras_maskrcnn.layers.roi_lists import RoIList, RoILists

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class ListSlots(GeometryLayer):
    """Lists all RoIs of a batch, padding among them.

    Call arguments:
        rois: float32 `[B, S, 4]`.

    Returns:
        float32 `[B * S, 4]` RoIs, int32 `[B * S]` their image.
    """

    def call(self, rois: Tensor) -> tuple[Tensor, Tensor]:
        batch, size = ops.shape(rois)[:2]
        images = ops.broadcast_to(ops.arange(batch, dtype="int32")[:, None], (batch, size))
        return _listed(rois), ops.reshape(images, (-1,))


class RoISlots(RoILists):
    """Makes lists of `P = B * S`; `RoIList.real` tells which of them were chosen."""

    def __init__(self) -> None:
        self._list_slots = ListSlots(name="list_slots")

    def select(self, boxes: Tensor, chosen: Tensor) -> RoIList:
        listed, owners = self._list_slots(boxes)
        return RoIList(listed, owners, None, boxes, chosen, self, _listed(chosen))

    def filter(self, boxes: Tensor, chosen: Tensor, first: int, every: int) -> RoIList:
        front = _Front(first, every)
        return RoIList(front.cut(boxes), None, None, boxes, chosen, front, front.cut(chosen))

    def take(self, values: Tensor, slots: Tensor) -> Tensor:
        return _listed(values)

    def restore(self, values: Tensor, slots: Tensor, chosen: Tensor) -> Tensor:
        size = chosen.shape[1]
        full = ops.reshape(values, (-1, size, *values.shape[1:]))
        chosen = ops.reshape(chosen, (-1, size, *[1] * (len(values.shape) - 1)))
        return ops.where(chosen, full, 0.0)


class _Front(RoISlots):
    """The first rows of every so many: `[P, ...]` to `[P * first / every, ...]`."""

    def __init__(self, first: int, every: int) -> None:
        self.first, self.every = first, every

    def cut(self, values: Tensor) -> Tensor:
        parts = ops.reshape(values, (-1, self.every, *values.shape[1:]))
        return _listed(parts[:, : self.first])

    def take(self, values: Tensor, slots: Tensor) -> Tensor:
        return self.cut(values[0])


def _listed(values: Tensor) -> Tensor:
    """`[B, S, ...]` to `[B * S, ...]`."""
    return ops.reshape(values, (-1, *values.shape[2:]))
