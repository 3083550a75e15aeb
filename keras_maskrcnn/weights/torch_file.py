"""Reads the tensors of PyTorch's `.pth` files without PyTorch, and without trusting the file."""

from __future__ import annotations

import collections
import dataclasses
import io
import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from keras_maskrcnn.weights.safe_pickle import (
    AllowListUnpickler,
    UnsafeFileError,
    load_restricted,
)

# First object of the format that PyTorch wrote before 1.6.
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C

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


@dataclasses.dataclass
class _Storage:
    """Flat data; in the old format it follows the pickle, so it is filled in later."""

    kind: str
    size: int
    data: np.ndarray | None = None

    @property
    def item_size(self) -> int:
        return _STORAGES[self.kind].itemsize


@dataclasses.dataclass
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, path: Path) -> np.ndarray:
        """The tensor as a contiguous array of its own; bfloat16 becomes float32."""
        data = self.storage.data
        if data is None:
            raise ValueError(f"{path} is incomplete: the data of a tensor is missing")
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        size = math.prod(self.shape)
        if min((self.offset, *self.strides, *self.shape)) < 0 or (size and last >= data.size):
            raise UnsafeFileError(f"{path} is refused: a tensor lies outside its own data")
        if size == 0:
            return np.empty(self.shape, data.dtype)
        strides = [s * data.itemsize for s in self.strides]
        view = np.lib.stride_tricks.as_strided(data[self.offset :], self.shape, strides)
        array = np.ascontiguousarray(view).reshape(self.shape)
        if self.storage.kind == "BFloat16Storage":
            return (array.astype("<u4") << 16).view("<f4")
        return array


def _rebuild_tensor(storage: _Storage, offset: int, shape: Any, strides: Any, *_: Any) -> _Tensor:
    return _Tensor(storage, int(offset), tuple(shape), tuple(strides))


def _rebuild_parameter(tensor: _Tensor, *_: Any) -> _Tensor:
    return tensor


_ALLOWED: dict[str, Any] = {
    "collections.OrderedDict": collections.OrderedDict,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch.Size": tuple,
    # Plain strings: a pickle can change the attributes of what it may name.
    **{f"torch.{name}": name for name in _STORAGES},
}


def read_torch_file(path: str | Path) -> dict[str, np.ndarray]:
    """Reads a file written by `torch.save`, in its zip format or the older one.

    Args:
        path: of a state dict, or of a dict that holds one as `"model"` or `"state_dict"`.

    Returns:
        Tensor name to array, in the file's layout and dtype (bfloat16 as float32).

    Raises:
        UnsafeFileError: when the file asks for anything but tensors and dicts.
        ValueError: when it is damaged, or holds no state dict.
    """
    path = Path(path)
    if zipfile.is_zipfile(path):
        content = _read_zip(path)
    else:
        with open(path, "rb") as file:
            content = _read_legacy(file, path)
    return _state_dict(content, path)


def is_legacy_torch_file(path: str | Path) -> bool:
    """Whether a file that is no zip starts with PyTorch's mark."""
    path = Path(path)
    with open(path, "rb") as file:
        try:
            return load_restricted(AllowListUnpickler(file, path, {}), path) == _LEGACY_MAGIC
        except ValueError:
            return False


def _read_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ValueError(f"{path} is no PyTorch file: it has no single data.pkl inside")
        root = pickles[0].removesuffix("data.pkl")
        byte_order = f"{root}byteorder"
        if byte_order in archive.namelist() and archive.read(byte_order) != b"little":
            raise ValueError(f"{path} was written on a big-endian machine, which is not supported")
        storages: dict[str, _Storage] = {}

        def load_storage(reference: Any) -> _Storage:
            kind, key, size = _storage_reference(reference, path)
            if key not in storages:
                try:
                    raw = archive.read(f"{root}data/{key}")
                except KeyError:
                    raise ValueError(f"{path} is incomplete: data/{key} is missing") from None
                storages[key] = _Storage(kind, size, _as_array(raw, kind, size, path))
            return storages[key]

        unpickler = AllowListUnpickler(
            io.BytesIO(archive.read(pickles[0])), path, _ALLOWED, persistent_load=load_storage
        )
        return load_restricted(unpickler, path)


def _read_legacy(file: IO[bytes], path: Path) -> Any:
    storages: dict[str, _Storage] = {}

    def load_storage(reference: Any) -> _Storage:
        kind, key, size = _storage_reference(reference, path)
        return storages.setdefault(key, _Storage(kind, size))

    def load(**options: Any) -> Any:
        return load_restricted(AllowListUnpickler(file, path, _ALLOWED, **options), path)

    if load() != _LEGACY_MAGIC:
        raise ValueError(f"{path} is no PyTorch file: its first object is not PyTorch's mark")
    load()  # version of the format
    load()  # sizes of C types on the machine that wrote it
    content = load(persistent_load=load_storage)
    for key in load():  # then, for each storage: its size (int64) and its data
        if key not in storages:
            raise ValueError(f"{path} is damaged: it holds data {key!r} of no tensor")
        storage = storages[key]
        size = int.from_bytes(file.read(8), "little")
        raw = file.read(storage.size * storage.item_size)
        if size != storage.size:
            raise ValueError(
                f"{path} is damaged: data {key!r} has {size} elements, not {storage.size}"
            )
        storage.data = _as_array(raw, storage.kind, size, path)
    return content


def _storage_reference(reference: Any, path: Path) -> tuple[str, str, int]:
    # ("storage", type, key, device, number of elements[, view of another storage: Torch 0.x])
    if (
        not isinstance(reference, tuple)
        or len(reference) < 5
        or reference[0] != "storage"
        or reference[1] not in _STORAGES
        or (len(reference) > 5 and reference[5] is not None)
    ):
        raise ValueError(f"{path} has an unknown reference to data: {reference!r}")
    return reference[1], str(reference[2]), int(reference[4])


def _as_array(raw: bytes, kind: str, size: int, path: Path) -> np.ndarray:
    dtype = _STORAGES[kind]
    if len(raw) < size * dtype.itemsize:
        raise ValueError(f"{path} is incomplete: the data of a tensor is cut off")
    return np.frombuffer(raw, dtype, size)


def _state_dict(content: Any, path: Path) -> dict[str, np.ndarray]:
    for key in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path} holds no state dict (tensor names and tensors)")
    others = [name for name, value in content.items() if not isinstance(value, _Tensor)]
    if others:
        raise ValueError(f"{path} holds no plain state dict: {others[:5]} are not tensors")
    return {str(name): tensor.array(path) for name, tensor in content.items()}
