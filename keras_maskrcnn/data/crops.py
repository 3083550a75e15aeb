"""Crops of large pictures: where they lie in each pass, and what is on them.

Legend: `n` crops of a pass.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.moving import InstanceMover
from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.images.tiling import Tiling, Window

# The part that must be left of an object that is cut: sahi's `min_area_ratio` (`slice_coco`).
# torchvision and detectron2 keep whatever is left of one: slivers that nobody can name.
MIN_VISIBLE = 0.1
# Places of a window that are told apart when objects are counted, by tile.
_PLACES = 16
# And along all of a picture, whatever its tiles are: the table of them takes 8 MB.
_MOST_PLACES = 1024


class CropRecord(ImageRecord):
    """A window of a picture, as a picture of its own. What is on it is found when it is asked for.

    Objects and crowd regions are cut at the window's border, as `InstanceMover` does it. An object
    that is cut is left out where less than `MIN_VISIBLE` is left of its area, or of the square of
    the overlap where it is larger than that: else of an object that fills several crops, hardly one
    would count. Crowd regions stay, however little is left.

    Args:
        whole: the picture.
        window: `(x1, y1, x2, y2)` within it, in whole pixels.
        scale: by which what is in the window is resized.
        near: int64, numbers of the instances of `whole` whose boxes reach into the window.
        enough: an area, in square pixels of the crop, that counts as an object whatever part it is.
    """

    whole: ImageRecord
    window: Window
    near: np.ndarray
    _enough: float

    def __init__(
        self,
        whole: ImageRecord,
        window: Window,
        scale: float,
        near: np.ndarray,
        enough: float,
    ) -> None:
        x1, y1, x2, y2 = window
        fields = {
            "image_id": whole.image_id,
            "path": whole.path,
            "height": max(1, round((y2 - y1) * scale)),
            "width": max(1, round((x2 - x1) * scale)),
            "whole": whole,
            "window": window,
            "near": near,
            "_enough": enough,
        }
        for name, value in fields.items():
            # As a frozen dataclass sets its fields; the instances are a property.
            object.__setattr__(self, name, value)

    @property
    def instances(self) -> tuple[Instance, ...]:  # type: ignore[override]  # A field, elsewhere.
        whole = self.whole
        x1, y1, x2, y2 = self.window
        across, down = self.width / (x2 - x1), self.height / (y2 - y1)
        matrix = np.array([[across, 0.0, -x1 * across], [0.0, down, -y1 * down]])
        old, new = (whole.height, whole.width), (self.height, self.width)
        movers = [
            InstanceMover(matrix, old, new, MIN_VISIBLE, self._enough),
            InstanceMover(matrix, old, new),
        ]
        # One by one: the order of instances stays.
        return tuple(
            moved
            for instance in (whole.instances[number] for number in self.near)
            for moved in movers[instance.is_crowd].instances([instance])
        )

    @property
    def named(self) -> str:
        x1, y1, x2, y2 = self.window
        return f"{super().named}, pixels {x1}, {y1} to {x2}, {y2}"


class Crops:
    """The crops of a data set, pass by pass.

    Every picture has the crops that `predict` looks at as tiles, in each scale of the tiling.
    Where they shift, each pass moves all crops of a picture by a random amount, up to half a step
    along each axis: what a seam cuts in one pass is whole in another, there are no holes between
    crops, and their number is always the same. Crops stay within the picture, so that in some
    passes a strip at its border is not seen.

    Args:
        data: the whole pictures.
        tiling: tile, overlap and scales.
        seed: from which, with the number of the pass, all shifts follow; `None`: crops never shift.

    Attributes:
        owners: int64 `[n]`: number of the picture that each crop is of.
        max_objects, max_crowds: what no crop can have more of, wherever it lies; at least 1.
    """

    def __init__(self, data: DetectionData, tiling: Tiling, seed: int | None = None) -> None:
        self.data = data
        self.tiling = tiling
        self.seed = seed
        self._boxes = [
            np.array([i.box for i in record.instances], np.float64).reshape(-1, 4)
            for record in data.records
        ]
        self.max_objects, self.max_crowds = (self._most(is_crowd) for is_crowd in (False, True))
        counts = [
            sum(
                len(tiling.starts(record.height, scale)) * len(tiling.starts(record.width, scale))
                for scale in tiling.scales
            )
            for record in data.records
        ]
        self.owners = np.repeat(np.arange(len(counts)), counts)
        # Of the pass that is read, and the next, which is planned meanwhile.
        self._cached = functools.lru_cache(maxsize=2)(self._make)

    @property
    def shifts(self) -> bool:
        """Whether crops lie elsewhere in each pass."""
        return self.seed is not None

    @property
    def resizes(self) -> bool:
        """Whether any crop is not in its picture's own size."""
        return any(scale != 1 for scale in self.tiling.scales)

    def records(self, epoch: int | None = None) -> Sequence[CropRecord]:
        """All crops: picture by picture, scale by scale, row by row.

        Args:
            epoch: number of the pass; `None`: where they lie when nothing shifts.
        """
        return self._cached(epoch if self.shifts else None)

    def _make(self, epoch: int | None) -> list[CropRecord]:
        scales = self.tiling.scales
        moves = np.zeros((len(self.data), len(scales), 2))
        if epoch is not None:
            moves = np.random.default_rng([self.seed or 0, epoch, 4]).random(moves.shape) - 0.5
        return [
            crop
            for number, record in enumerate(self.data.records)
            for scale, (down, across) in zip(scales, moves[number].tolist(), strict=True)
            for crop in self._of_picture(record, self._boxes[number], scale, down, across)
        ]

    def _of_picture(
        self, record: ImageRecord, boxes: np.ndarray, scale: float, down: float, across: float
    ) -> list[CropRecord]:
        """The crops of a picture in one scale, moved by such parts of a step."""
        tiling = self.tiling
        enough = MIN_VISIBLE * float(tiling.pixels_shared**2)
        spans = []
        for length, part in ((record.height, down), (record.width, across)):
            side, shift = tiling.side(length, scale), round(part * tiling.step(length, scale))
            spans.append([(start, start + side) for start in tiling.starts(length, scale, shift)])
        # Of each row and column, which boxes reach into it.
        rows, columns = (
            [(boxes[:, axis] < stop) & (boxes[:, axis + 2] > start) for start, stop in along]
            for along, axis in zip(spans, (1, 0), strict=True)
        )
        return [
            CropRecord(
                record, (x1, y1, x2, y2), scale, np.flatnonzero(rows[i] & columns[j]), enough
            )
            for (i, (y1, y2)), (j, (x1, x2)) in itertools.product(
                enumerate(spans[0]), enumerate(spans[1])
            )
        ]

    def _most(self, is_crowd: bool) -> int:
        most = 1
        for record, boxes in zip(self.data.records, self._boxes, strict=True):
            chosen = boxes[[i.is_crowd == is_crowd for i in record.instances]]
            for scale in self.tiling.scales if len(chosen) else ():
                most = max(most, most_in_window(chosen, math.ceil(self.tiling.tile / scale)))
        return most


def most_in_window(boxes: np.ndarray, side: int) -> int:
    """A number of boxes that no square window holds more of, whole or in part, wherever it lies.

    Windows are told apart by `_PLACES` places in each length of a side: the number is that of a
    window one place longer, so about an eighth too large where boxes lie evenly.

    Args:
        boxes: float64 `[N, 4]`.
        side: of the window, in pixels.
    """
    place = max(side / _PLACES, boxes[:, 2:].max() / _MOST_PLACES)
    # The places from the first to the last whose window may see the box, counted from 0.
    first = np.floor((boxes[:, :2] - side) / place).astype(np.int64)
    last = np.ceil(boxes[:, 2:] / place).astype(np.int64)
    first, last = np.maximum(first, 0), np.maximum(last, 0)
    x_size, y_size = (last.max(axis=0) + 2).tolist()
    # Each box adds 1 from its first place to its last, by steps that are summed along both axes.
    steps = np.zeros((x_size, y_size), np.int64)
    for x, y, sign in (
        (first[:, 0], first[:, 1], 1),
        (last[:, 0], first[:, 1], -1),
        (first[:, 0], last[:, 1], -1),
        (last[:, 0], last[:, 1], 1),
    ):
        np.add.at(steps, (x, y), sign)
    return int(steps.cumsum(axis=0).cumsum(axis=1).max())


def as_crops(data: DetectionData, crops: Sequence[CropRecord]) -> DetectionData:
    """The data set whose pictures are crops."""
    return dataclasses.replace(data, records=list(crops))
