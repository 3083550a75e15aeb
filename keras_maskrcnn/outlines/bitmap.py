"""Outlines as bits.

Legend: `h w` pixels of the crop.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_maskrcnn.outlines.base import Box, Outline
from keras_maskrcnn.outlines.cells import cell_polygons
from keras_maskrcnn.outlines.geometry import move_points
from keras_maskrcnn.outlines.raster import Raster, moves_cells_to_cells, turn_cells
from keras_maskrcnn.outlines.rle import RLE, encode_crop


class Bitmap(Raster):
    """A crop of bits, and where it lies.

    Args:
        bits: bool `[h, w]`: the pixels that belong to the object.
        left, top: the picture's pixel at which the crop starts; negative ones lie beyond it.
    """

    __slots__ = ("bits", "left", "top")

    def __init__(self, bits: np.ndarray, left: int = 0, top: int = 0) -> None:
        self.bits = np.asarray(bits).astype(bool, copy=False)
        self.left, self.top = left, top

    def __repr__(self) -> str:
        return f"Bitmap({self.bits.shape}, left={self.left}, top={self.top})"

    def bounds(self) -> Box:
        small = self.bitmap()
        height, width = small.bits.shape
        if not small.bits.size:
            return 0.0, 0.0, 0.0, 0.0
        left, top = float(small.left), float(small.top)
        return left, top, left + width, top + height

    def area(self) -> float:
        return float(np.count_nonzero(self.bits))

    def bitmap(self) -> Bitmap:
        rows, columns = (np.flatnonzero(self.bits.any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            return Bitmap(np.zeros((0, 0), bool))
        y, x = int(rows[0]), int(columns[0])
        bits = self.bits[y : int(rows[-1]) + 1, x : int(columns[-1]) + 1]
        return Bitmap(bits, self.left + x, self.top + y)

    def window(self, left: int, top: int, right: int, bottom: int) -> np.ndarray:
        cells = np.zeros((bottom - top, right - left), bool)
        height, width = self.bits.shape
        x1, x2 = max(left, self.left), min(right, self.left + width)
        y1, y2 = max(top, self.top), min(bottom, self.top + height)
        if x2 > x1 and y2 > y1:
            cells[y1 - top : y2 - top, x1 - left : x2 - left] = self.bits[
                y1 - self.top : y2 - self.top, x1 - self.left : x2 - self.left
            ]
        return cells

    def transform(self, matrix: np.ndarray) -> Outline:
        if moves_cells_to_cells(matrix):
            return self.turned(np.asarray(matrix, np.float64)[:2])
        return cell_polygons(self).transform(matrix)

    def turned(self, matrix: np.ndarray) -> Bitmap:
        """Moved by a matrix `[2, 3]` that moves pixels to pixels."""
        height, width = self.bits.shape
        corners = np.array(
            [[self.left, self.top], [self.left + width, self.top + height]], np.float64
        )
        left, top = move_points(corners, matrix).min(axis=0).astype(int).tolist()
        return Bitmap(turn_cells(self.bits, matrix[:, :2]), left, top)

    def crop(self, box: Sequence[float]) -> Outline | None:
        """Exact; see `Outline`. A box that cuts pixels leaves polygons."""
        if not all(float(v).is_integer() for v in box):
            return cell_polygons(self).crop(box)
        left, top, right, bottom = (int(v) for v in box)
        if right <= left or bottom <= top:
            return None
        small = self.bitmap()
        height, width = small.bits.shape
        left, top = max(left, small.left), max(top, small.top)
        right, bottom = min(right, small.left + width), min(bottom, small.top + height)
        if right <= left or bottom <= top:
            return None
        cut = Bitmap(small.window(left, top, right, bottom), left, top)
        return cut if cut.bits.any() else None

    def to_rle(self, height: int, width: int) -> RLE:
        inside = self.crop((0, 0, width, height))
        if not isinstance(inside, Bitmap):
            return encode_crop(np.zeros((0, 0), bool), 0, 0, (height, width))
        return encode_crop(inside.bits, inside.left, inside.top, (height, width))
