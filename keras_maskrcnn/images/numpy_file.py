"""NumPy's files of one array (`.npy`), as pictures: read without `pickle`, whatever they hold."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from numpy.lib import format as npy

# Numbers that a picture may be of, in either order of bytes.
_KINDS = ("b1", "u1", "u2", "u4", "i2", "i4", "f2", "f4", "f8")
# NumPy writes 128 bytes for a picture; the header is parsed as Python, so it stays short.
_LONGEST_HEADER = 1024


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
    stream = io.BytesIO(content)
    try:
        version = npy.read_magic(stream)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, is_fortran, dtype = read(stream, max_header_size=_LONGEST_HEADER)
    except (ValueError, KeyError, TypeError, RecursionError, MemoryError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"expected a NumPy file with a whole header: {reason:.200}") from None
    if dtype.str[1:] not in _KINDS:
        raise ValueError(
            "expected an array of bool, uint8, uint16, uint32, int16, int32, float16, float32 or "
            f"float64. Received: {dtype}"
        )
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise ValueError(
            f"expected an array [height, width] or [height, width, channels]. Received: {shape}"
        )
    return ArrayHeader(dtype, shape, is_fortran, stream.tell())


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
