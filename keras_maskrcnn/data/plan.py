"""Which pictures, or crops of them, each pass over a data set shows, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_maskrcnn.data.crops import Crops, as_crops
from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.passes import (
    describe_pass,
    draw_groups,
    draw_order,
    draw_order_of_groups,
    draw_pictures,
    draw_shard_order,
    pass_length,
)
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.data.sampling import SAMPLINGS
from keras_maskrcnn.data.shard_files import shard_numbers
from keras_maskrcnn.data.windows import DECODED_BYTES, PictureWindows
from keras_maskrcnn.images.tiling import Tiling


class PassPlan:
    """What the passes over a data set show: all of it follows from the seed.

    Args:
        data: the pictures.
        sampling: how often each comes, as `DetectionData.batches` takes it. What it says of
            pictures holds for crops; where these shift, it is asked in each pass anew.
        seed: of all choices.
        shuffle: whether each pass has an order of its own, and crops shift.
        tiling: `None`: pictures are shown whole.

    Attributes:
        count: pictures or crops of each pass.
        crops: of the pictures, where they are not shown whole.
        max_objects, max_crowds: what no picture or crop has more of; at least 1.
    """

    def __init__(
        self,
        data: DetectionData,
        sampling: Any,
        seed: int,
        *,
        shuffle: bool = False,
        tiling: Tiling | None = None,
    ) -> None:
        self.data = data
        self.seed = seed
        self.shuffle = shuffle
        self.crops = None if tiling is None else Crops(data, tiling, seed if shuffle else None)
        bounds = data if self.crops is None else self.crops
        self.max_objects, self.max_crowds = bounds.max_objects, bounds.max_crowds
        self._sampling = SAMPLINGS.make(sampling, default="all")
        still = data if self.crops is None else as_crops(data, self.crops.records())
        self._weights = self._sampling.weights(still)
        self.count = pass_length(self._weights)
        self._shards = shard_numbers(data.records)
        self._sizes: np.ndarray | None = None

    def records(self, epoch: int) -> Sequence[ImageRecord]:
        """All pictures or crops of a pass, whether it shows them or not."""
        return self.data.records if self.crops is None else self.crops.records(epoch)

    def pictures(self, epoch: int) -> np.ndarray:
        """The numbers of those that a pass shows, in ascending order: int64 `[count]`."""
        return draw_pictures(self._weights_in(epoch), self.seed, epoch, self.count)

    def describe(self, epoch: int) -> str:
        """What a pass holds, in one line."""
        if self.crops is None:
            return describe_pass(self.data, self.pictures(epoch))
        shown = as_crops(self.data, self.crops.records(epoch))
        return describe_pass(shown, self.pictures(epoch), "crops")

    def order(self, pictures: np.ndarray, batch_size: int, epoch: int) -> np.ndarray:
        """In which order a pass shows the given pictures: int64 `[count]`."""
        if not self.shuffle:
            return np.arange(len(pictures))
        records = self.records(epoch)
        ratios = np.array([records[n].width / records[n].height for n in pictures.tolist()])
        if self.crops is None:
            if self._shards is None:
                return draw_order(ratios, batch_size, self.seed, epoch)
            return draw_shard_order(self._shards[pictures], ratios, batch_size, self.seed, epoch)
        # Crops of files that are decoded as a whole come together: each is decoded once in a pass.
        if self._sizes is None:
            windows = PictureWindows(self.data.pixels)
            self._sizes = np.array([windows.bytes_of(record) for record in self.data.records])
        groups = draw_groups(self._sizes, DECODED_BYTES // 2, self.seed, epoch)
        files = self.crops.owners[pictures]
        return draw_order_of_groups(ratios, groups[files], batch_size, self.seed, epoch)

    def _weights_in(self, epoch: int) -> np.ndarray:
        """How often each comes in a pass; what counts is how they compare."""
        if self.crops is None or not (self.crops.shifts and self._sampling.is_by_content):
            return self._weights
        shown = as_crops(self.data, self.crops.records(epoch))
        # Of a few objects at the border of a picture, a pass may see none.
        if not any(record.objects for record in shown.records):
            return self._weights
        return self._sampling.weights(shown)
