"""What a picture file tells that may be too large to be decoded as a whole, read part by part."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from keras_maskrcnn.images.numpy_file import ArrayParts
from keras_maskrcnn.images.pixels import PixelFormat
from keras_maskrcnn.images.tiff_parts import TiffParts

# Rows that are read at a time.
_ROWS = 256


def bands(parts: TiffParts | ArrayParts, pixels: PixelFormat) -> Iterator[np.ndarray]:
    """All of a picture from top to bottom: `[h, W, C]` on the scale 0..255.

    Raises:
        ValueError: where a part is damaged.
    """
    height, width = parts.shape
    for top in range(0, height, _ROWS):
        yield pixels.of_file(parts.read((0, top, width, min(top + _ROWS, height))))


def file_digest(path: str, size: int) -> bytes:
    """Of the bytes of a file, in the memory of a few of them.

    Args:
        path: of the file.
        size: of the digest.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=size)).digest()


class SmallPicture:
    """Means of the parts of a picture, of which band after band is seen.

    Args:
        shape: height and width of the picture, which has a pixel for each part at least.
        columns, rows: of parts.
    """

    def __init__(self, shape: tuple[int, int], columns: int, rows: int) -> None:
        self._rows = np.arange(shape[0]) * rows // shape[0]
        edges = -(-np.arange(columns + 1) * shape[1] // columns)
        self._starts, self._widths = edges[:-1], np.diff(edges)
        self._sums = np.zeros((rows, columns, 3))
        self._seen = 0

    def add(self, band: np.ndarray) -> None:
        """Takes the next rows, uint8 `[h, W, 3]`."""
        rows = self._rows[self._seen : self._seen + len(band)]
        np.add.at(self._sums, rows, np.add.reduceat(band, self._starts, axis=1, dtype=np.int64))
        self._seen += len(band)

    def means(self) -> np.ndarray:
        """uint8 `[rows, columns, 3]`."""
        heights = np.bincount(self._rows)
        counts = heights[:, None, None] * self._widths[None, :, None]
        return (self._sums / counts).round().astype(np.uint8)
