"""What every reader of weights files holds to: one kind of error, and memory taken with measure."""

from __future__ import annotations

import contextlib
import math
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

# A file's tensors may take 16 times its size, and 256 MiB in any case. Trained float32 weights
# shrink by a tenth when deflated; the tightest real file known, ImageNet's ResNet-50 quantised to
# few values, by 9.6 times. What unpacks to far more is no trained network. 256 MiB hold a whole
# ResNet-101 detector, so that a small network of constants passes too.
_RATIO = 16
_FLOOR = 256 * 2**20

_MOST_AXES = 32
_LONGEST_NAME = 256

# Plain numbers. Objects, texts and records are left out: of some of them the bytes are pointers.
PLAIN_DTYPES = {
    code: np.dtype(code)
    for code in ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
}


class _Repr(reprlib.Repr):
    repr_bytes = reprlib.Repr.repr_str


_repr = _Repr()
_repr.maxlevel, _repr.maxstring, _repr.maxother = 2, 80, 80


class WeightsFileError(ValueError):
    """A weights file is damaged or holds what no weights need; the message starts with its path."""


class UnsafeFileError(WeightsFileError):
    """A weights file asks for code or for memory that no weights need."""


def shown(value: Any) -> str:
    """A file's value in a message: never long, never slow, however it is nested."""
    return _repr.repr(value)


@contextlib.contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Whatever a damaged file provokes inside becomes a `WeightsFileError`.

    Args:
        path: of the file.
        kind: what it is read as, for the message.
    """
    try:
        yield
    except WeightsFileError:
        raise
    except Exception as error:  # zipfile, zlib, h5py and numpy raise what they like
        reason = f"{type(error).__name__}: {error}"[:300]
        raise WeightsFileError(f"{path} is not readable as {kind}: {reason}") from error


class Budget:
    """The memory that a file's tensors may take together.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file_size = path.stat().st_size
        self._limit = max(_RATIO * self.file_size, _FLOOR)
        self._taken = 0

    def take(self, size: int, name: str) -> None:
        """Counts memory that is about to be taken.

        Args:
            size: in bytes.
            name: of what takes it.

        Raises:
            UnsafeFileError: when it is more than is left.
        """
        self._taken += size
        if self._taken > self._limit:
            raise UnsafeFileError(
                f"{self.path} is refused: {shown(name)} brings its tensors to {self._taken} bytes. "
                f"Expected at most {self._limit}, which is {_RATIO} times the file's size or "
                f"{_FLOOR // 2**20} MiB"
            )

    def take_tensor(self, name: str, shape: Any, dtype: np.dtype) -> int:
        """Counts a tensor that is about to be made; otherwise as `tensor_size`."""
        size = self.tensor_size(name, shape, dtype)
        self.take(size, name)
        return size

    def tensor_size(self, name: str, shape: Any, dtype: np.dtype) -> int:
        """A tensor's size in bytes, after a look at what the file says of it.

        Args:
            name: of the tensor.
            shape: as the file has it.
            dtype: of its elements.

        Raises:
            WeightsFileError: when the name is no name or the shape no shape.
        """
        if not isinstance(name, str) or not name.isprintable() or len(name) > _LONGEST_NAME:
            raise WeightsFileError(
                f"{self.path} is damaged: expected printable names of at most {_LONGEST_NAME} "
                f"characters. Received: {shown(name)}"
            )
        if not is_whole_numbers(shape) or len(shape) > _MOST_AXES:
            raise WeightsFileError(
                f"{self.path} is damaged: expected sizes from 0 in the shape of {name}. "
                f"Received: {shown(shape)}"
            )
        return math.prod(shape) * dtype.itemsize


def is_whole_numbers(values: Any) -> bool:
    """Whether a file's value is a tuple of 64-bit integers that are not negative."""
    return isinstance(values, tuple) and all(type(n) is int and 0 <= n < 2**63 for n in values)
