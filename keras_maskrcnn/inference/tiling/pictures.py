"""Pictures of which a part is read at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from keras_maskrcnn.data.windows import open_parts
from keras_maskrcnn.images.numpy_file import ArrayParts
from keras_maskrcnn.images.pixels import PixelFormat
from keras_maskrcnn.images.tiff_parts import TiffLevel, TiffParts
from keras_maskrcnn.images.tiling import Window
from keras_maskrcnn.inference.inputs import as_picture
from keras_maskrcnn.models.input_checks import RGB, check_picture


@dataclasses.dataclass(frozen=True)
class Level:
    """A picture in a smaller size.

    Args:
        shape: `(h, w)` in its pixels.
        part: each pixel stands for so many, along each side, of the picture in its own size.
        read: from a window `(x1, y1, x2, y2)` in its pixels to these, `[h, w, C]` on the scale
            0..255.
    """

    shape: tuple[int, int]
    part: int
    read: Callable[[Window], np.ndarray]


@dataclasses.dataclass(frozen=True)
class LargePicture:
    """A picture that need not be in memory.

    Args:
        shape: `(h, w)` in pixels.
        read: from a window `(x1, y1, x2, y2)` within it to its pixels `[h, w, C]` on the scale
            0..255.
        smaller: the picture in smaller sizes, the largest first, where a file has it so.
    """

    shape: tuple[int, int]
    read: Callable[[Window], np.ndarray]
    smaller: tuple[Level, ...] = ()

    def level(self, scale: float) -> Level:
        """The smallest size from which nothing need be made larger.

        Args:
            scale: in which the picture is looked at; 1 is its own.
        """
        own = Level(self.shape, 1, self.read)
        # .1 is a tenth, whatever its last digits are.
        fitting = [level for level in self.smaller if level.part * scale <= 1 + 1e-6]
        return fitting[-1] if fitting else own


def as_large_picture(item: Any, position: int, pixels: PixelFormat = RGB) -> LargePicture:
    """What `predict` was given, read part by part where that is possible.

    Arrays are, such as those of `numpy.memmap` and of `zarr`, `.npy` files, and TIFF files of grey,
    RGB or many channels, whose pixels lie in tiles or strips, with all levels of a pyramid; of
    several pages that are no channels the first. Of every other file all is decoded.

    Args:
        item: a path, an array `[H, W, C]` or Pillow's picture; or a `LargePicture`.
        position: of it, for messages.
        pixels: of the model.

    Raises:
        TypeError, ValueError: for what is no picture, or a file that cannot be read.
    """
    if isinstance(item, LargePicture):
        return item
    if isinstance(item, str | Path):
        # Whatever else a file may be is decoded as a whole, or refused in the usual words.
        parts = open_parts(item, pixels)
        if parts is not None:
            return _of_parts(parts, pixels)
    elif hasattr(item, "shape"):
        return _of_array(item, f"picture {position}", pixels)
    whole = as_picture(item, position, pixels)
    return LargePicture(
        whole.shape[:2], lambda window: whole[window[1] : window[3], window[0] : window[2]]
    )


def _of_parts(parts: TiffParts | ArrayParts, pixels: PixelFormat) -> LargePicture:
    def reader(part: TiffParts | ArrayParts | TiffLevel) -> Callable[[Window], np.ndarray]:
        return lambda window: pixels.of_file(part.read(window))

    smaller = parts.levels[1:] if isinstance(parts, TiffParts) else []
    return LargePicture(
        parts.shape,
        # Which keeps the file open, for its levels too.
        reader(parts),
        tuple(Level(level.shape, level.part, reader(level)) for level in smaller),
    )


def _of_array(array: Any, name: str, pixels: PixelFormat) -> LargePicture:
    if len(array.shape) != 3 or array.shape[2] != pixels.channels or 0 in array.shape:
        check_picture(np.asarray(array), name, pixels)  # Raises.

    def read(window: Window) -> np.ndarray:
        x1, y1, x2, y2 = window
        part = np.asarray(array[y1:y2, x1:x2])
        check_picture(part, f"{name}, pixels {x1}, {y1} to {x2}, {y2}", pixels)
        return pixels.of_array(part)

    return LargePicture(tuple(array.shape[:2]), read)
