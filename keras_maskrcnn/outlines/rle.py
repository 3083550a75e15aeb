"""Outlines as run lengths of a whole picture, as the COCO tools keep them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools import mask as coco_mask

from keras_maskrcnn.outlines.base import Box, Outline
from keras_maskrcnn.outlines.raster import Raster, moves_cells_to_cells
from keras_maskrcnn.outlines.turned import Turned

if TYPE_CHECKING:
    from keras_maskrcnn.outlines.bitmap import Bitmap

# Characters of one compressed run length: more than an int64 holds are an error in the string.
_COUNT_LENGTH = 12


class RLE(Raster):
    """Run lengths of a picture's pixels, column by column, beginning with background.

    Args:
        size: `(height, width)` of the picture.
        counts: a list of run lengths, or COCO's compressed string; see `decode_counts`.
    """

    __slots__ = ("counts", "size")

    def __init__(self, size: Sequence[int], counts: Sequence[int] | str | bytes) -> None:
        self.size = (int(size[0]), int(size[1]))
        self.counts = counts

    def __repr__(self) -> str:
        return f"RLE(size={self.size}, {len(self.counts)} counts or characters)"

    def bounds(self) -> Box:
        return self.bitmap().bounds()

    def area(self) -> float:
        return float(decode_counts(self.counts)[1::2].sum())

    def bitmap(self) -> Bitmap:
        # A bitmap can turn into run lengths too.
        from keras_maskrcnn.outlines.bitmap import Bitmap

        height = self.size[0]
        ends = np.cumsum(decode_counts(self.counts))
        starts, stops = ends[:-1:2], ends[1::2]
        starts = starts[: len(stops)][stops > starts[: len(stops)]]
        if not len(starts):
            return Bitmap(np.zeros((0, 0), bool))
        left, right = int(starts[0] // height), int((stops.max() - 1) // height) + 1
        return Bitmap(self.window(left, 0, right, height), left, 0).bitmap()

    def transform(self, matrix: np.ndarray) -> Outline:
        if moves_cells_to_cells(matrix):
            return Turned(self, matrix)
        return super().transform(matrix)

    def window(self, left: int, top: int, right: int, bottom: int) -> np.ndarray:
        height, width = self.size
        if left < 0 or top < 0 or right > width or bottom > height:
            return self._window_beyond(left, top, right, bottom)
        ends = np.clip(np.cumsum(decode_counts(self.counts)), left * height, right * height)
        lengths = np.diff(ends, prepend=left * height)
        values = (np.arange(len(lengths)) & 1).astype(bool)
        return np.repeat(values, lengths).reshape(right - left, height).T[top:bottom]

    def _window_beyond(self, left: int, top: int, right: int, bottom: int) -> np.ndarray:
        from keras_maskrcnn.outlines.bitmap import Bitmap

        height, width = self.size
        return Bitmap(self.window(0, 0, width, height)).window(left, top, right, bottom)

    def draw_whole(self, height: int, width: int) -> np.ndarray:
        if (height, width) != self.size:
            return super().draw_whole(height, width)
        return coco_mask.decode(_packed(self)) * np.uint8(255)

    def to_rle(self, height: int, width: int) -> RLE:
        if (height, width) != self.size:
            return self.bitmap().to_rle(height, width)
        is_packed = isinstance(self.counts, str | bytes)
        return self if is_packed else RLE(self.size, _packed(self)["counts"])


def encode_crop(bits: np.ndarray, left: int, top: int, size: tuple[int, int]) -> RLE:
    """Run lengths of a picture that is blank but for a crop; made from the crop alone.

    Args:
        bits: bool `[h, w]`.
        left, top: pixel at which the crop starts; it must lie within the picture.
        size: height and width of the picture.
    """
    height, width = size
    # COCO's runs go down the columns of the whole picture. A blank pixel under every column keeps
    # the runs of the crop's columns apart.
    side = bits.shape[0] + 1
    columns = np.zeros((bits.shape[1], side), bool)
    columns[:, :-1] = bits.T
    flat = columns.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    if flat.size and flat[0]:
        changes = np.insert(changes, 0, 0)
    # Starts and ends of the runs alternate.
    edges = (changes // side + left) * height + changes % side + top
    # A run that ends at the bottom of one column goes on at the top of the next.
    joined = edges[1:-1:2] == edges[2::2]
    keep = np.ones(len(edges), bool)
    keep[1:-1:2] = keep[2::2] = ~joined
    counts = np.diff(edges[keep], prepend=0, append=height * width)
    # The COCO tools write no empty run at the end, so that equal masks have equal codes.
    if len(counts) > 1 and counts[-1] == 0:
        counts = counts[:-1]
    packed = coco_mask.frPyObjects({"size": [height, width], "counts": counts.tolist()}, *size)
    return RLE(size, packed["counts"])


def _packed(rle: RLE) -> dict[str, Any]:
    """As pycocotools takes it."""
    packed = {"size": list(rle.size), "counts": rle.counts}
    if isinstance(rle.counts, str | bytes):
        return packed
    return coco_mask.frPyObjects({**packed, "counts": list(rle.counts)}, *rle.size)


def decode_counts(counts: Sequence[int] | str | bytes) -> np.ndarray:
    """Decodes the run lengths of a COCO RLE.

    Args:
        counts: a list of run lengths, or COCO's compressed string: 6 bits per character from
            ASCII 48, of which 5 hold the value (lowest first) and one says that it goes on;
            from the fourth on, a value is the difference to the last but one.

    Returns:
        int64 `[n]`: run lengths, column by column, beginning with background.

    Raises:
        ValueError: if the string is cut off, has foreign characters or a run of more than 60 bits.
    """
    if not isinstance(counts, (str, bytes)):
        return np.asarray(counts, np.int64).reshape(-1)
    text = counts.encode() if isinstance(counts, str) else counts
    codes = np.frombuffer(text, np.uint8).astype(np.int64) - 48
    if codes.size == 0:
        return codes
    last = np.flatnonzero((codes & 32) == 0)
    first = np.concatenate([[0], last[:-1] + 1])[: len(last)]
    length = last - first + 1
    is_complete = codes.min() >= 0 and codes.max() <= 63 and not codes[-1] & 32
    if not is_complete or length.max() > _COUNT_LENGTH:
        raise ValueError(
            f"Expected a complete compressed RLE. Received: counts={counts[:60]!r} of "
            f"{len(counts)} characters"
        )
    place = 5 * (np.arange(codes.size) - np.repeat(first, length))
    values = np.add.reduceat((codes & 31) << place, first)
    values -= np.where(codes[last] & 16, np.int64(1) << (5 * length), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
