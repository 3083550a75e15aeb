"""Decodes the run-length code of Label Studio's brush, which is not COCO's."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_maskrcnn.data.formats.problems import ItemError

_CHANNELS = 4
_IS_SET = 128


def decode_brush(code: Any, height: int, width: int) -> np.ndarray:
    """Where a brush has painted.

    The bits of the code, highest first, are: how many values follow (32 bits), the bits of a value
    less 1 (5), four lengths of counts less 1 (4 each); then runs of: 1 for one value that repeats
    or 0 for values that follow, which of the four lengths (2), a count less 1, and the value or
    values. The values are a picture's rows of red, green, blue and alpha; the alpha is the mask.

    Args:
        code: bytes, as a list of integers.
        height, width: of the picture.

    Returns:
        bool `[height, width]`.

    Raises:
        ItemError: if the code is damaged, or of a picture of another size.
    """
    if not isinstance(code, list) or not set(map(type, code)) <= {int}:
        raise ItemError("rle is no list of integers")
    if code and (min(code) < 0 or max(code) > 255):
        raise ItemError("rle is no list of bytes")
    bits = _Bits(bytes(code))
    count = bits.number(32)
    if count != _CHANNELS * height * width:
        raise ItemError(
            "rle is not of its picture's size", f" ({count} values, picture {height} x {width})"
        )
    word = bits.number(5) + 1
    lengths = [bits.number(4) + 1 for _ in range(4)]
    values = np.zeros(count, np.uint8)
    at = 0
    while at < count:
        repeats = bits.number(1)
        end = at + 1 + bits.number(lengths[bits.number(2)])
        if end > count:
            raise ItemError("rle has too many values")
        values[at:end] = bits.number(word) if repeats else bits.numbers(word, end - at)
        at = end
    return values.reshape(height, width, _CHANNELS)[..., -1] >= _IS_SET


class _Bits:
    """Reads numbers of any count of bits."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def number(self, length: int) -> int:
        first, end = self._at, self._take(length)
        part = int.from_bytes(self._content[first // 8 : (end + 7) // 8], "big")
        return part >> (-end % 8) & (1 << length) - 1

    def numbers(self, length: int, count: int) -> np.ndarray:
        """Several of the same length, of which the lowest 8 bits are kept."""
        first, end = self._at, self._take(length * count)
        part = np.frombuffer(self._content[first // 8 : (end + 7) // 8], np.uint8)
        bits = np.unpackbits(part)[first % 8 : first % 8 + length * count].reshape(count, length)
        return np.packbits(np.pad(bits, ((0, 0), (8, 0)))[:, -8:], axis=1)[:, 0]

    def _take(self, length: int) -> int:
        self._at += length
        if self._at > 8 * len(self._content):
            raise ItemError("rle is cut off")
        return self._at
