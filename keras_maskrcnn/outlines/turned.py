"""Raster outlines that flips and quarter turns moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from keras_maskrcnn.outlines.base import Box, Outline
from keras_maskrcnn.outlines.geometry import move_points
from keras_maskrcnn.outlines.raster import Raster, moves_cells_to_cells, turn_cells

if TYPE_CHECKING:
    from keras_maskrcnn.outlines.bitmap import Bitmap
    from keras_maskrcnn.outlines.rle import RLE


class Turned(Raster):
    """Moves the pixels of another outline when they are asked for.

    Decoding run lengths takes as long as drawing them, and who flips a picture flips its drawn
    masks too.

    Args:
        source: what is moved.
        matrix: `[2, 3]` or `[3, 3]`; it moves pixels to pixels.
    """

    __slots__ = ("matrix", "source")

    def __init__(self, source: Raster, matrix: np.ndarray) -> None:
        self.source = source
        self.matrix = np.asarray(matrix, np.float64)[:2]

    def __repr__(self) -> str:
        return f"Turned({self.source!r}, matrix={self.matrix.tolist()})"

    def bounds(self) -> Box:
        if not self.area():
            return 0.0, 0.0, 0.0, 0.0
        return _moved(self.source.bounds(), self.matrix)

    def area(self) -> float:
        return self.source.area()

    def bitmap(self) -> Bitmap:
        return self.source.bitmap().turned(self.matrix)

    def transform(self, matrix: np.ndarray) -> Outline:
        if not moves_cells_to_cells(matrix):
            return super().transform(matrix)
        last = np.array([0.0, 0.0, 1.0])
        both = np.asarray(matrix, np.float64)[:2] @ np.vstack([self.matrix, last])
        return Turned(self.source, both)

    def window(self, left: int, top: int, right: int, bottom: int) -> np.ndarray:
        # The inverse of a turn is its transpose.
        turn = self.matrix[:, :2]
        back = np.column_stack([turn.T, -turn.T @ self.matrix[:, 2]])
        x1, y1, x2, y2 = (int(v) for v in _moved((left, top, right, bottom), back))
        return turn_cells(self.source.window(x1, y1, x2, y2), turn)

    def to_rle(self, height: int, width: int) -> RLE:
        return self.bitmap().to_rle(height, width)


def _moved(box: Box, matrix: np.ndarray) -> Box:
    corners = move_points(np.array([box[:2], box[2:]], np.float64), matrix)
    (x1, y1), (x2, y2) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return x1, y1, x2, y2
