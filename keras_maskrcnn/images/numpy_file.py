"""NumPy's files of one array (`.npy`), as pictures: read without `pickle`, whatever they hold."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

# Numbers that a picture may be of, in either order of bytes.
_KINDS = ("b1", "u1", "u2", "u4", "i2", "i4", "f2", "f4", "f8")
# NumPy writes 128 bytes for a picture.
_LONGEST_HEADER = 1024
# Of the header, which is written as a dict of Python with three items. NumPy's own parser lets some
# errors of Python's through, and tries hard to understand what Python 2 wrote.
_ITEM = re.compile(
    r"""['"](descr|fortran_order|shape)['"]\s*:\s*"""
    r"""(?:['"]([^'"]*)['"]|(True|False)|\(([\d\s,]*)\))\s*,?\s*"""
)


@dataclass(frozen=True)
class ArrayHeader:
    """What such a file says of its array.

    Args:
        dtype: of its values.
        shape: `(H, W)` or `(H, W, C)`.
        is_fortran: whether the first axis varies fastest.
        start: where the values begin, in bytes.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    is_fortran: bool
    start: int

    @property
    def end(self) -> int:
        """Where the values end, in bytes."""
        return self.start + math.prod(self.shape) * self.dtype.itemsize


def read_array_header(content: bytes) -> ArrayHeader:
    """Reads the header of a `.npy` file.

    Args:
        content: the file, or so much of its beginning that the header is within.

    Raises:
        ValueError: when it is damaged, or the array is no picture: of another shape than `[H, W]`
            or `[H, W, C]`, or of values other than truth values, integers of up to 32 bits, and
            floats.
    """
    width = {1: 2, 2: 4}.get(content[6] if len(content) > 8 else 0)
    start = 8 + (width or 0)
    length = int.from_bytes(content[8:start], "little")
    text = content[start : start + length].decode("latin1")
    items = _items(text.strip())
    if width is None or len(text) < length or length > _LONGEST_HEADER or items is None:
        raise ValueError(
            "expected a NumPy file with the whole header of an array of numbers. "
            f"Received: {text[:100]!r}"
        )
    kind, is_fortran, shape = items
    if kind.lstrip("<>|=") not in _KINDS:
        raise ValueError(
            "expected an array of bool, uint8, uint16, uint32, int16, int32, float16, float32 or "
            f"float64. Received: {kind}"
        )
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise ValueError(
            f"expected an array [height, width] or [height, width, channels]. Received: {shape}"
        )
    return ArrayHeader(np.dtype(kind), shape, is_fortran, start + length)


def _items(text: str) -> tuple[str, bool, tuple[int, ...]] | None:
    """Type, order and shape that a header tells; `None` where it is none."""
    if not (text.startswith("{") and text.endswith("}")):
        return None
    inside, place, found = text[1:-1].strip(), 0, {}
    while match := _ITEM.match(inside, place):
        name, kind, order, sides = match.groups()
        found[name] = {"descr": kind, "fortran_order": order, "shape": sides}[name]
        place = match.end()
    if place < len(inside) or len(found) != 3 or None in found.values():
        return None
    numbers = [part.strip() for part in found["shape"].split(",") if part.strip()]
    if not all(re.fullmatch(r"\d{1,12}", number) for number in numbers):
        return None
    return found["descr"], found["fortran_order"] == "True", tuple(map(int, numbers))


def decode_array(content: bytes) -> np.ndarray:
    """The array of a whole `.npy` file, in this machine's order of bytes.

    Raises:
        ValueError: as `read_array_header`, or when there are more or fewer values than it says.
    """
    header = read_array_header(content)
    if len(content) != header.end:
        raise ValueError(
            f"expected {header.end} bytes, as the header of {header.shape} {header.dtype} says. "
            f"Received: {len(content)}"
        )
    values = np.frombuffer(content, header.dtype, offset=header.start)
    array = values.reshape(header.shape, order="F" if header.is_fortran else "C")
    return array.astype(header.dtype.newbyteorder("="), copy=False)


class ArrayParts:
    """The array of a `.npy` file, of which a part is read at a time.

    Args:
        path: path of the file, which stays open until `close`.

    Attributes:
        shape: height and width.
        channels: how many values a pixel has.

    Raises:
        ValueError: as `decode_array`, or when there is no such file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        name = os.fspath(path)
        try:
            with open(path, "rb") as file:
                header = read_array_header(file.read(8 + 4 + _LONGEST_HEADER))
            size = os.stat(path).st_size
            if size != header.end:
                raise ValueError(
                    f"expected {header.end} bytes, as the header of {header.shape} {header.dtype} "
                    f"says. Received: {size}"
                )
            self._values: Any = np.memmap(
                path,
                header.dtype,
                "r",
                header.start,
                header.shape,
                order="F" if header.is_fortran else "C",
            )
        except (OSError, ValueError) as error:
            raise ValueError(f"Cannot read the array {name}: {error}") from None
        self.shape = (header.shape[0], header.shape[1])
        self.channels = (*header.shape, 1)[2]

    def close(self) -> None:
        """Closes the file."""
        self._values = None

    def read(self, window: tuple[int, int, int, int]) -> np.ndarray:
        """The values in a window `(x1, y1, x2, y2)`: `[h, w]` or `[h, w, c]`, as stored."""
        x1, y1, x2, y2 = window
        values = np.array(self._values[y1:y2, x1:x2])
        return values.astype(values.dtype.newbyteorder("="), copy=False)
