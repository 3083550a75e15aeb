"""TensorFlow Serving's REST predict API in JSON: https://www.tensorflow.org/tfx/serving/api_rest"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_maskrcnn.serving.model import FILES, INPUTS, PIXELS, ServedModel
from keras_maskrcnn.serving.requests import RequestError

_BYTES_SUFFIX = "_bytes"


@dataclasses.dataclass(frozen=True)
class PredictRequest:
    """Pictures of a predict request.

    Args:
        signature: which of the model's.
        by_rows: whether the request came in row format (`instances`), not in columns (`inputs`).
        rows: files as bytes, or pixels `[h, w, C]`.
    """

    signature: str
    by_rows: bool
    rows: Sequence[Any]

    def place(self, row: int) -> str:
        """How the client calls a picture."""
        return f"{'instances' if self.by_rows else 'inputs'}[{row}]"


@dataclasses.dataclass(frozen=True)
class Accepted:
    """What a model takes.

    Args:
        channels: of pixels.
        dtype: of pixels, NumPy's: uint8, uint16 or float32.
        files: whether it takes files.
    """

    channels: int = 3
    dtype: Any = np.uint8
    files: bool = True


def parse_predict(body: bytes, accepted: Accepted = Accepted()) -> PredictRequest:
    """Reads the body of a predict request.

    Args:
        body: of the request.
        accepted: what the model takes.

    Raises:
        RequestError: 400, telling what is wrong.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"the body is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise RequestError(400, f"expected a JSON object. Received: {_kind(content)}")
    signature = content.get("signature_name", "") or PIXELS
    known = (PIXELS, FILES) if accepted.files else (PIXELS,)
    if signature not in known:
        expected = " or ".join(f'"{name}"' for name in known)
        raise RequestError(
            400, f"expected signature_name {expected}. Received: {_short(signature)}"
        )
    if ("instances" in content) == ("inputs" in content):
        raise RequestError(400, 'expected one of "instances" (rows) and "inputs" (columns)')
    by_rows = "instances" in content
    name = INPUTS[signature]
    value = content["instances"] if by_rows else content["inputs"]
    if by_rows:
        value = _unnamed_rows(value, name)
    elif isinstance(value, dict) and not _is_base64(value):
        if set(value) != {name}:
            raise RequestError(
                400, f'expected "inputs" to name "{name}" alone. Received: {_short(sorted(value))}'
            )
        value = value[name]
    where = "instances" if by_rows else "inputs"
    if not isinstance(value, list) or not value:
        raise RequestError(
            400, f'expected "{where}" to be a list of pictures. Received: {_kind(value)}'
        )
    rows: Sequence[Any] = (
        _files(value, where) if signature == FILES else _pixels(value, where, accepted)
    )
    return PredictRequest(signature, by_rows, rows)


def predict_answer(outputs: dict[str, np.ndarray], by_rows: bool) -> bytes:
    """The body of the answer, in the format of the request."""
    columns = {name: _values(name, value) for name, value in outputs.items()}
    if not by_rows:
        return to_json({"outputs": columns})
    names = list(columns)
    rows = zip(*columns.values(), strict=True)
    return to_json({"predictions": [dict(zip(names, row, strict=True)) for row in rows]})


def status_answer(model: ServedModel) -> bytes:
    """The JSON form of `GetModelStatusResponse`."""
    status = {"error_code": "OK", "error_message": ""}
    version = {"version": str(model.version), "state": "AVAILABLE", "status": status}
    return to_json({"model_version_status": [version]})


def metadata_answer(model: ServedModel) -> bytes:
    """The JSON form of `GetModelMetadataResponse`."""
    spec = {"name": model.name, "signature_name": "", "version": str(model.version)}
    signatures = {"signature_def": model.signature_def()}
    return to_json({"model_spec": spec, "metadata": {"signature_def": signatures}})


def to_json(content: Any) -> bytes:
    """As UTF-8; numbers that are none become `NaN` and `Infinity`, as TensorFlow Serving's."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def shortest(values: np.ndarray) -> list[Any]:
    """float32 as nested lists of numbers that are written with no more digits than they need."""
    return np.asarray(values, "float32").astype("U32").astype("float64").tolist()


def _unnamed_rows(value: Any, name: str) -> Any:
    """`instances` as a plain list: each may come as `{input name: value}`."""
    if not isinstance(value, list):
        return value
    named = [isinstance(row, dict) and not _is_base64(row) for row in value]
    if not any(named):
        return value
    for i, row in enumerate(value):
        if not named[i] or set(row) != {name}:
            raise RequestError(
                400,
                f'expected instances[{i}] to be an object that names "{name}" alone, as the '
                f"others. Received: {_short(sorted(row)) if named[i] else _kind(row)}",
            )
    return [row[name] for row in value]


def _files(value: list[Any], where: str) -> list[bytes]:
    files = []
    for i, row in enumerate(value):
        if not _is_base64(row):
            raise RequestError(
                400,
                f'expected {where}[{i}] to be {{"b64": "..."}}, a picture file in base64. '
                f"Received: {_kind(row)}",
            )
        try:
            files.append(base64.b64decode(row["b64"], validate=True))
        except (binascii.Error, ValueError) as error:
            raise RequestError(400, f"{where}[{i}] is not base64: {error}") from None
    return files


def _pixels(value: list[Any], where: str, accepted: Accepted) -> list[np.ndarray]:
    dtype, channels = np.dtype(accepted.dtype), accepted.channels
    expected = f"expected {where} to be {dtype} pixels [pictures, height, width, {channels}]"
    try:
        pixels = np.array(value)
    except ValueError:
        raise RequestError(
            400, f"{expected}, all of one size. Received: lists of unlike lengths"
        ) from None
    if pixels.dtype.kind not in ("iuf" if dtype.kind == "f" else "iu"):
        is_file = pixels.dtype == object and accepted.files
        hint = f'; picture files go to signature_name "{FILES}"' if is_file else ""
        kind = "numbers" if dtype.kind == "f" else "whole numbers"
        raise RequestError(400, f"{expected}{hint}. Received: values that are not {kind}")
    if pixels.ndim != 4 or pixels.shape[3] != channels or 0 in pixels.shape:
        raise RequestError(400, f"{expected}. Received: shape {list(pixels.shape)}")
    low, high = pixels.min(), pixels.max()
    if dtype.kind == "f":
        if not (np.isfinite(low) and np.isfinite(high)):
            raise RequestError(400, f"{expected}, finite. Received: {low} to {high}")
    elif low < 0 or high > np.iinfo(dtype).max:
        most = np.iinfo(dtype).max
        raise RequestError(400, f"{expected}, 0 to {most}. Received: {low} to {high}")
    return list(pixels.astype(dtype))


def _values(name: str, value: np.ndarray) -> list[Any]:
    if value.dtype == object:
        if name.endswith(_BYTES_SUFFIX):
            return [_encoded(row) for row in value]
        return [_text(row) for row in value]
    return shortest(value) if value.dtype == np.float32 else value.tolist()


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else [_text(v) for v in value]


def _encoded(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    return [_encoded(v) for v in value]


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str)


def _kind(value: Any) -> str:
    """What a JSON value is, for messages."""
    if value is None:
        return "null"
    names = {dict: "an object", list: "a list", str: "a string", bool: "a truth value"}
    name = names.get(type(value), "a number")
    return f"{name} of no elements" if isinstance(value, dict | list) and not value else name


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
