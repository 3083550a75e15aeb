"""Writes files in PyTorch's two formats, without PyTorch."""

from __future__ import annotations

import contextlib
import io
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

_NAMES = {"f4": "FloatStorage", "f8": "DoubleStorage", "i8": "LongStorage", "f2": "HalfStorage"}


@contextlib.contextmanager
def _stub_torch() -> Iterator[types.ModuleType]:
    """Modules of the right names, for pickle writes functions and classes by name."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def _rebuild_tensor_v2(*_: Any) -> None:
        """Never called: a pickle holds its name, for which the reader has a function of its own."""

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    for name in _NAMES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    torch._utils = utils
    before = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    sys.modules.update({"torch": torch, "torch._utils": utils})
    try:
        yield torch
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


class _Tensor:
    """Pickled as PyTorch pickles a tensor: a view of a storage outside the pickle."""

    def __init__(self, array: np.ndarray, key: str, torch: types.ModuleType) -> None:
        self.key, self.torch = key, torch
        # Transposed arrays become views with strides, as PyTorch has them.
        base = array if array.flags.c_contiguous else array.T
        if not base.flags.c_contiguous:
            base = array = np.ascontiguousarray(array)
        self.base = base
        strides = tuple(s // array.itemsize for s in array.strides)
        self.view = (0, array.shape, strides, False, OrderedDict())

    @property
    def storage(self) -> Any:
        return _Storage(self)

    def __reduce__(self) -> Any:
        return self.torch._utils._rebuild_tensor_v2, (self.storage, *self.view)


class _Storage:
    def __init__(self, tensor: _Tensor) -> None:
        self.tensor = tensor


class _Pickler(pickle.Pickler):
    legacy = False

    def persistent_id(self, item: Any) -> Any:
        if not isinstance(item, _Storage):
            return None
        base = item.tensor.base
        kind = getattr(item.tensor.torch, _NAMES[base.dtype.str[1:]])
        reference = ("storage", kind, item.tensor.key, "cpu", base.size)
        return (*reference, None) if self.legacy else reference


def write_torch_file(
    path: Path, tensors: Mapping[str, Any], *, legacy: bool = False, wrap: str | None = None
) -> Path:
    """Writes what `torch.save(tensors, path)` writes.

    Args:
        path: of the file.
        tensors: name to array; other values are pickled as they are.
        legacy: the format before PyTorch 1.6.
        wrap: save `{wrap: tensors}`.
    """
    with _stub_torch() as torch:
        wrapped = OrderedDict(
            (name, _Tensor(value, str(i), torch) if isinstance(value, np.ndarray) else value)
            for i, (name, value) in enumerate(tensors.items())
        )
        content = wrapped if wrap is None else {wrap: wrapped, "epoch": 3}
        buffer = io.BytesIO()
        pickler = _Pickler(buffer, protocol=2)
        pickler.legacy = legacy
        pickler.dump(content)
    arrays = [v for v in wrapped.values() if isinstance(v, _Tensor)]
    if legacy:
        with open(path, "wb") as file:
            for mark in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
                pickle.dump(mark, file, protocol=2)
            file.write(buffer.getvalue())
            pickle.dump([tensor.key for tensor in arrays], file, protocol=2)
            for tensor in arrays:
                file.write(tensor.base.size.to_bytes(8, "little") + tensor.base.tobytes())
        return path
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", buffer.getvalue())
        archive.writestr("archive/byteorder", "little")
        for tensor in arrays:
            archive.writestr(f"archive/data/{tensor.key}", tensor.base.tobytes())
        archive.writestr("archive/version", "3\n")
    return path
