"""Reads the arrays of detectron2's `.pkl` files without trusting the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_maskrcnn.weights.limits import (
    PLAIN_DTYPES,
    Budget,
    UnsafeFileError,
    WeightsFileError,
    reading,
    shown,
)
from keras_maskrcnn.weights.safe_pickle import StandIn, load_pickle

# Nothing of numpy is made while the file is read: a pickle may set the state of what it makes, and
# an array or dtype in a state of the file's choosing reads memory that is not its own.


# Of a dtype's state: no subarray, names nor fields, and the size and alignment of its kind.
_PLAIN_STATE = (None, None, None, -1, -1, 0)


class _DType(StandIn):
    """`numpy.dtype(code, align, copy)`: numbers only."""

    def __init__(self, code: Any, *_: Any) -> None:
        if not isinstance(code, str) or code not in PLAIN_DTYPES:
            raise ValueError(
                f"expected a dtype of {', '.join(PLAIN_DTYPES)}. Received: {shown(code)}"
            )
        self.dtype = PLAIN_DTYPES[code]

    def set_state(self, state: Any) -> None:
        # (version, byte order, subarray, names, fields, item size, alignment, flags[, metadata])
        plain = isinstance(state, tuple) and state[:1] in ((3,), (4,)) and len(state) >= 8
        if not plain or state[1] not in ("<", ">", "|", "=") or state[2:8] != _PLAIN_STATE:
            raise ValueError(f"expected the state of a plain dtype. Received: {shown(state)}")
        self.dtype = self.dtype.newbyteorder(state[1])


class _Encoded(StandIn):
    """`_codecs.encode(text, "latin1")`: how Python 3 writes bytes for Python 2.

    Encoded when it is wanted: a file may ask for it any number of times.
    """

    def __init__(self, text: Any, encoding: Any) -> None:
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise ValueError(f"expected text in latin1. Received: encoding={shown(encoding)}")
        self.text = text


class _Array(StandIn):
    """An array whose shape, dtype and data the pickle sets."""

    _state: tuple[Any, ...] = ()

    def __init__(self, *_: Any) -> None:
        """Of `numpy.core.multiarray._reconstruct`: nothing of it lasts."""

    def set_state(self, state: Any) -> None:
        # (version, shape, dtype, whether in Fortran's order, data)
        if (
            not isinstance(state, tuple)
            or len(state) != 5
            or not isinstance(state[2], _DType)
            or not isinstance(state[4], str | bytes | _Encoded)
        ):
            raise ValueError(f"expected the state of a plain array. Received: {shown(state)}")
        self._state = state

    def array(self, name: str, budget: Budget) -> np.ndarray:
        """A copy of the data, in the machine's byte order."""
        if not self._state:
            raise WeightsFileError(f"{budget.path} is damaged: {shown(name)} has no data")
        _, shape, kind, is_fortran, data = self._state
        dtype = kind.dtype
        size = budget.take_tensor(name, shape, dtype)
        if isinstance(data, _Encoded):
            data = data.text
        if len(data) != size:
            raise UnsafeFileError(
                f"{budget.path} is refused: {name} {shown(shape)} of {dtype} needs {size} bytes. "
                f"Received: {len(data)}"
            )
        raw = data.encode("latin1") if isinstance(data, str) else data
        view = np.frombuffer(raw, dtype).reshape(shape, order="F" if is_fortran else "C")
        return view.astype(dtype.newbyteorder("="))


class _Scalar(StandIn):
    """A number of numpy's, beside the weights."""

    def __init__(self, *_: Any) -> None:
        """Nothing is made of it."""


_ALLOWED: dict[str, Any] = {
    "numpy.ndarray": "numpy.ndarray",
    "numpy.dtype": _DType,
    "_codecs.encode": _Encoded,
    **{f"numpy.{core}.multiarray._reconstruct": _Array for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _Scalar for core in ("core", "_core")},
}


def read_detectron2_file(path: str | Path) -> dict[str, np.ndarray]:
    """Reads a detectron2 checkpoint: a pickled dict of arrays.

    Args:
        path: of `{"model": {name: array}, ...}` as published in its model zoo.

    Returns:
        Tensor name to array, in PyTorch's layout and the machine's byte order.

    Raises:
        UnsafeFileError: when the file asks for anything but arrays and plain objects, or for more
            memory than its size allows.
        ValueError: when it is damaged, or no detectron2 checkpoint.
    """
    path = Path(path)
    budget = Budget(path)
    with open(path, "rb") as file:
        content = load_pickle(file, path, _ALLOWED)
    if isinstance(content, dict) and "blobs" in content:
        raise WeightsFileError(
            f"{path} is in Detectron 1's format (Caffe2 blobs), which is not supported: "
            "detectron2's files have the arrays under 'model'"
        )
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise WeightsFileError(
            f"{path} is no detectron2 checkpoint: expected a dict with a 'model'"
        )
    arrays = content["model"]
    others = [name for name, value in arrays.items() if not isinstance(value, _Array)]
    if others or not arrays:
        raise WeightsFileError(
            f"{path} is no detectron2 checkpoint: {shown(others[:5])} are not arrays"
        )
    with reading(path, "a detectron2 checkpoint"):
        # Taken out one by one, so that the file's bytes go as the arrays come.
        return {name: arrays.pop(name).array(name, budget) for name in list(arrays)}
