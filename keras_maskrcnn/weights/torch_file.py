"""Reads the tensors of PyTorch's `.pth` files without PyTorch, and without trusting the file."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from keras_maskrcnn.weights.archive import Archive, is_archive, open_archive
from keras_maskrcnn.weights.limits import (
    Budget,
    UnsafeFileError,
    WeightsFileError,
    is_whole_numbers,
    reading,
    shown,
)
from keras_maskrcnn.weights.safe_pickle import load_pickle, new_dict

# First object of the format that PyTorch wrote before 1.6; it takes 15 bytes, in a frame 24.
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_START = 64

_STORAGES: dict[str, np.dtype] = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype("<u2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


@dataclasses.dataclass(frozen=True)
class _Storage:
    """A reference to flat data, which lies elsewhere in the file."""

    kind: str
    key: str
    size: int

    @property
    def dtype(self) -> np.dtype:
        return _STORAGES[self.kind]


@dataclasses.dataclass(frozen=True)
class _Tensor:
    """A view of a storage: everything as the file has it, so of any type and value."""

    storage: Any
    offset: Any
    shape: Any
    strides: Any

    def array(self, name: str, budget: Budget, data: Callable[[_Storage], bytes]) -> np.ndarray:
        """The tensor as a contiguous array; bfloat16 becomes float32.

        Args:
            name: of the tensor.
            budget: of the file.
            data: gives a storage's bytes.
        """
        storage, shape, strides = self.storage, self.shape, self.strides
        if not isinstance(storage, _Storage):
            raise WeightsFileError(f"{budget.path} is damaged: {shown(name)} has no data")
        dtype = storage.dtype
        size = budget.take_tensor(name, shape, dtype) // dtype.itemsize
        layout = f"shape {shape}, strides {shown(strides)} from {shown(self.offset)}"
        # A stride of 0 makes much of little; PyTorch saves such views only of expanded tensors.
        sound = is_whole_numbers((self.offset,)) and is_whole_numbers(strides)
        if not sound or len(strides) != len(shape):
            raise UnsafeFileError(f"{budget.path} is refused: {name} is no view: {layout}")
        if size > 1 and any(n > 1 and s == 0 for n, s in zip(shape, strides, strict=True)):
            raise UnsafeFileError(f"{budget.path} is refused: {name} repeats its data: {layout}")
        last = self.offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        if size > storage.size or (size and last >= storage.size):
            raise UnsafeFileError(
                f"{budget.path} is refused: {name} lies outside its own data of {storage.size} "
                f"elements: {layout}"
            )
        if size == 0:
            array = np.empty(shape, dtype)
        else:
            flat = np.frombuffer(data(storage), dtype, storage.size)
            view = np.ndarray(
                shape,
                dtype,
                flat.data,
                self.offset * dtype.itemsize,
                [stride * dtype.itemsize for stride in strides],
            )
            array = np.ascontiguousarray(view).reshape(shape)
        if storage.kind == "BFloat16Storage":
            return (array.astype("<u4") << 16).view("<f4")
        return array


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


def _rebuild_parameter(tensor: Any, *_: Any) -> Any:
    return tensor


def _size(values: Any) -> tuple[Any, ...]:
    if not isinstance(values, list | tuple):
        raise ValueError(f"expected sizes. Received: {shown(values)}")
    return tuple(values)


_ALLOWED: dict[str, Any] = {
    "collections.OrderedDict": new_dict,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch.Size": _size,
    **{f"torch.{name}": name for name in _STORAGES},
}


def read_torch_file(path: str | Path) -> dict[str, np.ndarray]:
    """Reads a file written by `torch.save`, in its zip format or the older one.

    Args:
        path: of a state dict, or of a dict that holds one as `"model"` or `"state_dict"`.

    Returns:
        Tensor name to array, in the file's layout and dtype (bfloat16 as float32).

    Raises:
        UnsafeFileError: when the file asks for anything but tensors and dicts, or for more memory
            than its size allows.
        ValueError: when it is damaged, or holds no state dict.
    """
    path = Path(path)
    budget = Budget(path)
    if is_archive(path):
        with open_archive(path, budget) as archive:
            return _read_zip(archive, budget)
    with open(path, "rb") as file, reading(path, "a PyTorch file"):
        return _read_legacy(file, budget)


def is_legacy_torch_file(path: str | Path) -> bool:
    """Whether a file that is no zip starts with PyTorch's mark."""
    path = Path(path)
    with open(path, "rb") as file:
        start = io.BytesIO(file.read(_LEGACY_START))
    try:
        return load_pickle(start, path, {}) == _LEGACY_MAGIC
    except WeightsFileError:
        return False


def _read_zip(archive: Archive, budget: Budget) -> dict[str, np.ndarray]:
    path = budget.path
    pickles = [name for name in archive.names if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise WeightsFileError(f"{path} is no PyTorch file: it has no single data.pkl inside")
    root = pickles[0].removesuffix("data.pkl")
    byte_order = f"{root}byteorder"
    if byte_order in archive.names and archive.read(byte_order) != b"little":
        raise WeightsFileError(f"{path} was written on a big-endian machine: not supported")
    read: dict[str, bytes] = {}

    def data(storage: _Storage) -> bytes:
        if storage.key not in read:
            member = f"{root}data/{storage.key}"
            if member not in archive.names:
                raise WeightsFileError(f"{path} is incomplete: {shown(member)} is missing")
            read[storage.key] = archive.read(member)
        return _checked(read[storage.key], storage, path)

    content = load_pickle(
        io.BytesIO(archive.read(pickles[0])),
        path,
        _ALLOWED,
        persistent_load=lambda reference: _storage(reference, path),
    )
    return _state_dict(content, budget, data)


def _read_legacy(file: IO[bytes], budget: Budget) -> dict[str, np.ndarray]:
    path = budget.path
    storages: dict[str, _Storage] = {}

    def load_storage(reference: Any) -> _Storage:
        storage = _storage(reference, path)
        if storages.setdefault(storage.key, storage) != storage:
            raise WeightsFileError(f"{path} is damaged: data {shown(storage.key)} has two sizes")
        return storage

    if load_pickle(file, path, {}) != _LEGACY_MAGIC:
        raise WeightsFileError(f"{path} is no PyTorch file: its first object is not PyTorch's mark")
    load_pickle(file, path, {})  # version of the format
    machine = load_pickle(file, path, {})  # that wrote it
    if isinstance(machine, dict) and machine.get("little_endian") is False:
        raise WeightsFileError(f"{path} was written on a big-endian machine: not supported")
    content = load_pickle(file, path, _ALLOWED, persistent_load=load_storage)
    # Then the keys, and for each its number of elements (int64) and its data.
    keys = load_pickle(file, path, {})
    read: dict[str, bytes] = {}
    for key in keys if isinstance(keys, list) else [keys]:
        if not isinstance(key, str) or key not in storages:
            raise WeightsFileError(f"{path} is damaged: it holds data {shown(key)} of no tensor")
        elements = storages[key].size
        size = elements * storages[key].dtype.itemsize
        head = file.read(8)
        if size > budget.file_size - file.tell():
            raise WeightsFileError(f"{path} is incomplete: data {shown(key)} is cut off")
        if int.from_bytes(head, "little") != elements:
            raise WeightsFileError(
                f"{path} is damaged: expected {elements} elements of data {shown(key)}. "
                f"Received: {int.from_bytes(head, 'little')}"
            )
        read[key] = file.read(size)

    def data(storage: _Storage) -> bytes:
        if storage.key not in read:
            raise WeightsFileError(f"{path} is incomplete: data {shown(storage.key)} is missing")
        return _checked(read[storage.key], storage, path)

    return _state_dict(content, budget, data)


def _storage(reference: Any, path: Path) -> _Storage:
    # ("storage", type, key, device, number of elements[, view of another storage: Torch 0.x])
    if (
        not isinstance(reference, tuple)
        or len(reference) < 5
        or reference[0] != "storage"
        or not isinstance(reference[1], str)
        or reference[1] not in _STORAGES
        or not isinstance(reference[2], str)
        or not is_whole_numbers(reference[4:5])
        or (len(reference) > 5 and reference[5] is not None)
    ):
        raise WeightsFileError(f"{path} has an unknown reference to data: {shown(reference)}")
    return _Storage(reference[1], reference[2], reference[4])


def _checked(data: bytes, storage: _Storage, path: Path) -> bytes:
    expected = storage.size * storage.dtype.itemsize
    if len(data) < expected:
        raise WeightsFileError(
            f"{path} is incomplete: expected {expected} bytes of data {shown(storage.key)}. "
            f"Received: {len(data)}"
        )
    return data


def _state_dict(
    content: Any, budget: Budget, data: Callable[[_Storage], bytes]
) -> dict[str, np.ndarray]:
    path = budget.path
    for key in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not content:
        raise WeightsFileError(f"{path} holds no state dict (tensor names and tensors)")
    others = [name for name, value in content.items() if not isinstance(value, _Tensor)]
    if others:
        raise WeightsFileError(
            f"{path} holds no plain state dict: {shown(others[:5])} are not tensors"
        )
    return {name: tensor.array(name, budget, data) for name, tensor in content.items()}
