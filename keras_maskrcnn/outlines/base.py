"""What every kind of outline can do.

Coordinates are continuous pixels: the top left pixel of a picture covers `[0, 1] x [0, 1]`.
Legend: `M` mask side, `H W` pixels of a picture.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from keras_maskrcnn.outlines.rle import RLE

MASK_SIDE = 112

Box = tuple[float, float, float, float]


class Outline(abc.ABC):
    """What an object covers of its picture. An outline is never changed; its methods make new ones.

    Nothing is checked when one is made: data of unknown origin passes through a reader.
    """

    __slots__ = ()

    @abc.abstractmethod
    def bounds(self) -> Box:
        """The smallest box around it, `(x1, y1, x2, y2)`; four zeros where it covers nothing."""

    @abc.abstractmethod
    def area(self) -> float:
        """What it covers, in square pixels, by the rule of `draw`."""

    @abc.abstractmethod
    def transform(self, matrix: np.ndarray) -> Outline:
        """Moves it.

        Args:
            matrix: `[2, 3]` (affine) or `[3, 3]` (perspective): from x, y, 1 to the new x, y.

        Raises:
            ValueError: for a matrix of another shape, or a perspective whose horizon meets the
                outline.
        """

    @abc.abstractmethod
    def crop(self, box: Sequence[float]) -> Outline | None:
        """What of it lies within a box; `None` where nothing does. Coordinates stay the picture's.

        Args:
            box: `(x1, y1, x2, y2)`.
        """

    @abc.abstractmethod
    def coverage(self, box: Sequence[float], side: int) -> np.ndarray:
        """Which share of each cell it covers: float64 `[M, M]`, 0..1; see `draw`."""

    def draw(self, box: Sequence[float], side: int = MASK_SIDE) -> np.ndarray:
        """Draws it, cropped to a box.

        Cell (i, j) of the result covers the part of the picture between
        `y1 + i * (y2 - y1) / M` and `y1 + (i + 1) * (y2 - y1) / M`, likewise in x; its value is the
        share of that area which the object covers, without sampling error.

        Args:
            box: `(x1, y1, x2, y2)`, of positive width and height.
            side: M.

        Returns:
            uint8 `[M, M]`: coverage 0..255.
        """
        return (self.coverage(box, side) * 255.0 + 0.5).astype(np.uint8)

    @abc.abstractmethod
    def draw_whole(self, height: int, width: int) -> np.ndarray:
        """Draws it in the whole picture, pixel by pixel as the COCO tools do.

        Returns:
            uint8 `[height, width]`: 255 inside, else 0.
        """

    @abc.abstractmethod
    def to_rle(self, height: int, width: int) -> RLE:
        """The pixels of `draw_whole` as run lengths, compressed."""

    @abc.abstractmethod
    def to_coco(self, height: int, width: int) -> list[list[float]] | dict[str, Any]:
        """As `segmentation` of a COCO file, for a picture of that size: polygons or an RLE."""
