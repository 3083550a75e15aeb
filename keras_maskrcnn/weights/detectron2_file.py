"""Reads the arrays of detectron2's `.pkl` files without trusting the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_maskrcnn.weights.safe_pickle import AllowListUnpickler, load_restricted


def _reconstruct(kind: type, shape: tuple[int, ...], typecode: bytes) -> np.ndarray:
    """An empty array, whose state the pickle sets next."""
    if kind is not np.ndarray:
        raise ValueError(f"expected a plain array. Received: {kind}")
    return np.ndarray(shape, np.int8)


def _dtype(code: str, align: bool = False, copy: bool = False) -> np.dtype:
    """A dtype of the file's own: a pickle sets the byte order of what it is given."""
    return np.dtype(code, align=bool(align), copy=True)


def _encode(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes into a pickle that Python 2 can read."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"expected latin1. Received: encoding={encoding!r}")
    return text.encode("latin1")


def _scalar(dtype: np.dtype, raw: bytes | str) -> Any:
    return np.frombuffer(raw.encode("latin1") if isinstance(raw, str) else raw, dtype)[0]


_ALLOWED: dict[str, Any] = {
    "numpy.ndarray": np.ndarray,
    "numpy.dtype": _dtype,
    "_codecs.encode": _encode,
    **{f"numpy.{core}.multiarray._reconstruct": _reconstruct for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
}


def read_detectron2_file(path: str | Path) -> dict[str, np.ndarray]:
    """Reads a detectron2 checkpoint: a pickled dict of arrays.

    Args:
        path: of `{"model": {name: array}, ...}` as published in its model zoo.

    Returns:
        Tensor name to array, in PyTorch's layout.

    Raises:
        UnsafeFileError: when the file asks for anything but arrays and plain objects.
        ValueError: when it is damaged, or no detectron2 checkpoint.
    """
    path = Path(path)
    with open(path, "rb") as file:
        # The published files hold Python 2 strings; latin1 is what detectron2 reads them with.
        content = load_restricted(AllowListUnpickler(file, path, _ALLOWED, encoding="latin1"), path)
    if isinstance(content, dict) and "blobs" in content:
        raise ValueError(
            f"{path} is in Detectron 1's format (Caffe2 blobs), which is not supported: "
            "detectron2's files have the arrays under 'model'"
        )
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise ValueError(f"{path} is no detectron2 checkpoint: expected a dict with a 'model'")
    tensors = content["model"]
    others = [name for name, value in tensors.items() if not isinstance(value, np.ndarray)]
    if others or not tensors:
        raise ValueError(f"{path} is no detectron2 checkpoint: {others[:5]} are not arrays")
    return {str(name): array for name, array in tensors.items()}
