"""Reads numpy's `.npz` files."""

from __future__ import annotations

import io

import numpy as np

from keras_maskrcnn.weights.archive import Archive
from keras_maskrcnn.weights.limits import PLAIN_DTYPES, Budget, UnsafeFileError, shown

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
# numpy hands the header to Python's parser, which deep nesting can bring down; real ones take 120.
_LONGEST_HEADER = 1000


def read_numpy_archive(archive: Archive, budget: Budget) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` file.

    Args:
        archive: the open file.
        budget: of it.

    Returns:
        Name to array, in the machine's byte order.

    Raises:
        UnsafeFileError: when there is anything but plain numbers, or more than the file can hold.
        ValueError: when it is damaged.
    """
    return {
        name.removesuffix(".npy"): _array(name, archive.read(name), budget)
        for name in archive.names
    }


def _array(name: str, data: bytes, budget: Budget) -> np.ndarray:
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise UnsafeFileError(
            f"{budget.path} is refused: expected {shown(name)} in version 1 or 2 of the format. "
            f"Received: {version}"
        )
    shape, is_fortran, dtype = _HEADERS[version](stream, max_header_size=_LONGEST_HEADER)
    if dtype.newbyteorder("=") not in PLAIN_DTYPES.values():
        raise UnsafeFileError(
            f"{budget.path} is refused: expected plain numbers in {shown(name)}. "
            f"Received: {shown(str(dtype))}"
        )
    # Not counted again: the array is the member's own bytes.
    expected = budget.tensor_size(name, shape, dtype)
    start = stream.tell()
    if len(data) - start != expected:
        raise UnsafeFileError(
            f"{budget.path} is refused: {name} {shape} of {dtype} needs {expected} bytes. "
            f"Received: {len(data) - start}"
        )
    flat = np.frombuffer(data, dtype, offset=start)
    array = flat.reshape(shape, order="F" if is_fortran else "C")
    return array.astype(dtype.newbyteorder("="), copy=False)
