"""ONNX and LiteRT, through Keras' own exporters.

These files hold the network alone: a program on the device decodes and resizes pictures itself.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

import keras

from keras_maskrcnn.checks import at_least
from keras_maskrcnn.export.onnx_files import finish_onnx
from keras_maskrcnn.export.tracing import export_twin

FILE_FORMATS = {"onnx": ".onnx", "litert": ".tflite"}
ANY_BATCH = "any"


def export_file(
    model: Any,
    path: str | os.PathLike[str],
    format: str,
    *,
    batch_size: int | str | None,
    thresholds: dict[str, Any],
    options: dict[str, Any],
) -> Path:
    """Writes one file; see `export_model`.

    RoIAlign is written in ops that these formats know. The file appears when it is complete.
    """
    target = Path(path)
    suffix = FILE_FORMATS[format]
    if target.suffix != suffix:
        raise ValueError(f"path must end with {suffix} for format={format!r}. Received: {target}")
    poolers = [part.pooler for part in (model.network.box, *model.network.heads)]
    if any(getattr(pooler, "sampling_ratio", 1) == 0 for pooler in poolers):
        raise ValueError(
            f"format={format!r} needs a fixed number of RoIAlign samples per bin: an adaptive one "
            "gives a matrix whose shape depends on the boxes, for which these formats have no op. "
            "Received: a model with pooler sampling_ratio=0"
        )
    count = _pictures_of_a_call(format, batch_size, options)
    sizes = keras.InputSpec(dtype="int32", shape=(count, 2), name="image_sizes")
    shape = (count, None, None, model.pixels.channels)
    images = keras.InputSpec(dtype="float32", shape=shape, name="images")
    options = {"input_signature": [{"images": images, "image_sizes": sizes}], **options}
    if format == "litert" and "target_spec" not in options:
        import tensorflow as tf

        # Keras would fall back on ops that need a TensorFlow on the device, and not say so.
        options["target_spec"] = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent) as scratch:
        written = Path(scratch) / target.name
        twin, _ = export_twin(model, "gather", thresholds)
        try:
            twin.export(str(written), format=format, verbose=False, **options)
        except ImportError as error:
            raise ImportError(
                f"format={format!r} needs a package that is not installed ({error}); "
                'for ONNX: pip install "maskrcnn-keras[onnx]"'
            ) from error
        except Exception as error:
            raise ValueError(
                f"this model cannot be converted to format={format!r}: {_reason(error)}"
            ) from error
        if format == "onnx":
            finish_onnx(written)
        os.replace(written, target)
    return target


def _pictures_of_a_call(
    format: str, batch_size: int | str | None, options: dict[str, Any]
) -> int | None:
    """As tensors have it: `None` for any number."""
    if batch_size is None:
        return 1 if format == "onnx" else None
    if format != "onnx":
        raise ValueError(
            f"batch_size belongs to format='onnx'; a file of format={format!r} takes any number of "
            f"pictures. Received: batch_size={batch_size!r}"
        )
    if "input_signature" in options:
        raise ValueError(
            "input_signature says how many pictures a call has. Received: it, and "
            f"batch_size={batch_size!r}"
        )
    if batch_size == ANY_BATCH:
        return None
    if not isinstance(batch_size, int):
        raise ValueError(
            f"batch_size must be a number of pictures, or {ANY_BATCH!r}. Received: {batch_size=}"
        )
    at_least(1, batch_size=batch_size)
    return batch_size


def _reason(error: Exception) -> str:
    """What a converter complains of; LiteRT's messages hold the whole graph."""
    text = str(error)
    select = re.search(r"TF Select ops: ([^\n]*)", text)
    if select:
        return f"LiteRT has no op for TensorFlow's {select[1]}"
    lines = [line for line in text.splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:3])[:500]}"
