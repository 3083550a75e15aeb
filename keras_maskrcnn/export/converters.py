"""ONNX and LiteRT, through Keras' own exporters.

These files hold the network alone: a program on the device decodes and resizes pictures itself.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from keras_maskrcnn.export.tracing import export_twin

FILE_FORMATS = {"onnx": ".onnx", "litert": ".tflite"}


def export_file(
    model: Any,
    path: str | os.PathLike[str],
    format: str,
    *,
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
    sizes = keras.InputSpec(dtype="int32", shape=(None, 2), name="image_sizes")
    shape = (None, None, None, model.pixels.channels)
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
            check_onnx_ops(written)
        os.replace(written, target)
    return target


def check_onnx_ops(file: str | os.PathLike[str]) -> None:
    """Makes sure that every op of an ONNX file is one of ONNX: the converter only warns.

    Raises:
        ValueError: naming those that are not.
    """
    import onnx

    model = onnx.load(os.fspath(file), load_external_data=False)
    versions = {entry.domain: entry.version for entry in model.opset_import}
    foreign = set()
    for node in _onnx_nodes(model.graph):
        try:
            onnx.defs.get_schema(node.op_type, versions.get(node.domain, 1), node.domain)
        except onnx.defs.SchemaError:
            foreign.add(node.op_type)
    if foreign:
        raise ValueError(
            "this model cannot be converted to format='onnx': ONNX has no op for TensorFlow's "
            f"{', '.join(sorted(foreign))}"
        )


def _onnx_nodes(graph: Any) -> Iterator[Any]:
    """Those of loops and branches too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _onnx_nodes(inner)


def _reason(error: Exception) -> str:
    """What a converter complains of; LiteRT's messages hold the whole graph."""
    text = str(error)
    select = re.search(r"TF Select ops: ([^\n]*)", text)
    if select:
        return f"LiteRT has no op for TensorFlow's {select[1]}"
    lines = [line for line in text.splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:3])[:500]}"
