"""RoIs of all images in one list without padding, and back to slots for each image.

Padding would be costly, and would enter the statistics of a norm that trains.
Legend: `B` images, `S` slots for each, `P` RoIs in the list.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from keras import ops

from keras_maskrcnn.layers.roi_selection import RestoreSlots, SelectRoIs, TakeSlots

Tensor = Any


class RoILists:
    """Makes lists; its layers are those of one model."""

    def __init__(self) -> None:
        self._select = SelectRoIs(name="select_rois")
        self._take = TakeSlots(name="take_slots")
        self._restore = RestoreSlots(name="restore_slots")

    def select(self, boxes: Tensor, chosen: Tensor) -> RoIList:
        """The list of the boxes `[B, S, 4]` that are `chosen`, bool `[B, S]`."""
        listed, owners, slots = self._select(boxes, chosen)
        return RoIList(listed, owners, slots, boxes, chosen, self)

    def filter(self, boxes: Tensor, chosen: Tensor, first: int, every: int) -> RoIList:
        """The list of those of a list's boxes `[P, 4]` that are `chosen`, bool `[P]`.

        They stand among the first `first` of `every` slots of an image.
        """
        return self.select(ops.expand_dims(boxes, 0), ops.expand_dims(chosen, 0))

    def take(self, values: Tensor, slots: Tensor) -> Tensor:
        """See `RoIList.take`."""
        return self._take(values, slots)

    def restore(self, values: Tensor, slots: Tensor, chosen: Tensor) -> Tensor:
        """See `RoIList.restore`."""
        return self._restore(values, slots, chosen)


@dataclasses.dataclass(frozen=True)
class RoIList:
    """RoIs in a list.

    Args:
        boxes: float32 `[P, 4]`.
        owners: int32 `[P]`, the image of each.
        slots: int32 `[P]`, where it stood in `B * S`.
        slot_boxes: float32 `[B, S, 4]` that they were chosen from.
        chosen: bool `[B, S]`.
        lists: of the model.
        real: bool `[P]`, which of them are no padding; `None`: all.
    """

    boxes: Tensor
    owners: Tensor
    slots: Tensor
    slot_boxes: Tensor
    chosen: Tensor
    lists: RoILists
    real: Tensor | None = None

    def take(self, values: Tensor) -> Tensor:
        """What stands in the RoIs' slots: `[B, S, ...]` to `[P, ...]`."""
        return self.lists.take(values, self.slots)

    def take_rows(self, values: Tensor) -> Tensor:
        """Likewise for a list made by `filter`: `[all, ...]` to `[P, ...]`."""
        # int32 would be reshaped on the host.
        wide = ops.cast(values, "int64") if values.dtype == "int32" else values
        return ops.cast(self.take(ops.expand_dims(wide, 0)), values.dtype)

    def restore(self, values: Tensor) -> Tensor:
        """Inverse of `take`: `[P, ...]` to `[B, S, ...]`, 0 where nothing was chosen."""
        return self.lists.restore(values, self.slots, self.chosen)
