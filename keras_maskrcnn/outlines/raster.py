"""What outlines made of whole pixels have in common."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_maskrcnn.outlines.base import Outline
from keras_maskrcnn.outlines.coverage import cells_coverage
from keras_maskrcnn.outlines.geometry import as_matrix

if TYPE_CHECKING:
    from keras_maskrcnn.outlines.bitmap import Bitmap


class Raster(Outline):
    """An outline that covers whole pixels.

    Flips, quarter turns and shifts by whole pixels move pixels to pixels and are exact. Anything
    else moves the polygons along the pixels' edges: exact too, where resampling would round every
    edge to pixels once more.
    """

    __slots__ = ()

    @abc.abstractmethod
    def window(self, left: int, top: int, right: int, bottom: int) -> np.ndarray:
        """bool `[bottom - top, right - left]`: the pixels there, also beyond the picture."""

    @abc.abstractmethod
    def bitmap(self) -> Bitmap:
        """Its pixels, cropped to what is set."""

    def transform(self, matrix: np.ndarray) -> Outline:
        return self.bitmap().transform(matrix)

    def crop(self, box: Sequence[float]) -> Outline | None:
        return self.bitmap().crop(box)

    def coverage(self, box: Sequence[float], side: int) -> np.ndarray:
        x1, y1, x2, y2 = box
        left, right = int(np.floor(x1)), int(np.ceil(x2))
        top, bottom = int(np.floor(y1)), int(np.ceil(y2))
        cells = self.window(left, top, right, bottom)
        return cells_coverage(cells, (x1 - left, y1 - top, x2 - left, y2 - top), side)

    def draw_whole(self, height: int, width: int) -> np.ndarray:
        return self.window(0, 0, width, height) * np.uint8(255)

    def to_coco(self, height: int, width: int) -> dict[str, Any]:
        """An RLE; what lies beyond the picture is lost."""
        rle = self.to_rle(height, width)
        counts = rle.counts
        return {
            "size": [height, width],
            "counts": counts.decode("ascii") if isinstance(counts, bytes) else counts,
        }


def turn_cells(cells: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Flips and turns a grid.

    Args:
        cells: `[..., h, w]`.
        turn: `[2, 2]`: the linear part of a matrix that moves cells to cells.

    Returns:
        A view, `[..., h, w]` or `[..., w, h]`.
    """
    if turn[0, 0] == 0:
        cells = cells.swapaxes(-1, -2)
    # The entry of each row that is not zero tells the direction along the new axis.
    if turn[0].sum() < 0:
        cells = cells[..., ::-1]
    return cells[..., ::-1, :] if turn[1].sum() < 0 else cells


def moves_cells_to_cells(matrix: np.ndarray) -> bool:
    """Whether every pixel becomes a pixel: flips, quarter turns, and shifts by whole pixels."""
    matrix = as_matrix(matrix)
    if len(matrix) == 3:
        if matrix[2].tolist() != [0, 0, 1]:
            return False
        matrix = matrix[:2]
    linear = np.abs(matrix[:, :2])
    is_turn = linear.tolist() in ([[1, 0], [0, 1]], [[0, 1], [1, 0]])
    return bool(is_turn and (matrix[:, 2] == np.round(matrix[:, 2])).all())
