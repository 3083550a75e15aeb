"""A SavedModel that a stock TensorFlow Serving loads.

Legend: `B` pictures, `D` detections, `M` mask side, `J` keypoints.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_maskrcnn.checks import one_of
from keras_maskrcnn.export.pictures import decode_batch, letterbox_batch, to_levels
from keras_maskrcnn.export.results import full_size_rles, to_original
from keras_maskrcnn.export.stock_ops import check_stock_ops
from keras_maskrcnn.export.tracing import export_twin
from keras_maskrcnn.images.pixels import PixelFormat

Tensor = Any

INPUT_DTYPES = ("uint8", "uint16", "float32")


def export_saved_model(
    model: Any,
    path: str | os.PathLike[str],
    *,
    version: int | None,
    rle_masks: bool,
    max_pixels: int,
    input_dtype: str | None,
    thresholds: dict[str, Any],
) -> Path:
    """Writes `path/version/`; see `export_model`.

    The folder appears under its number when it is complete and checked, so that a server that
    watches `path` never loads half a model.
    """
    parent = Path(path)
    if parent.exists() and not parent.is_dir():
        raise ValueError(f"path must be a folder, or not exist yet. Received: path={parent}")
    if rle_masks and "masks" not in model.result_names:
        raise ValueError(
            "rle_masks needs a model with a mask head. Received: rle_masks=True, and a model that "
            f"returns {model.result_names}"
        )
    if version is not None and version < 1:
        raise ValueError(f"version must be at least 1. Received: version={version}")
    if max_pixels < 1:
        raise ValueError(f"max_pixels must be at least 1. Received: max_pixels={max_pixels}")
    dtype = _input_dtype(model.pixels) if input_dtype is None else input_dtype
    one_of("input_dtype", dtype, INPUT_DTYPES)
    target = parent / str(_next_version(parent) if version is None else version)
    if target.exists():
        raise ValueError(f"this version exists already. Received: version={version}, {target}")
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=parent) as scratch:
        twin, settings = export_twin(model, "reference", thresholds)
        served = _Served(twin, model, rle_masks, max_pixels, dtype)
        signatures = {"serving_default": served.serving_default}
        if served.encoded is not None:
            signatures["encoded"] = served.encoded
        served.weights = _variables(signatures.values())
        settings |= {"rle_masks": rle_masks, "max_pixels": max_pixels, "input_dtype": dtype}
        served.assets = _write_assets(model, settings, Path(scratch))
        written = Path(scratch) / "model"
        # No gradients: a server does not train, and RoIAlign's own cannot be stored.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(served, str(written), signatures=signatures, options=options)
        check_stock_ops(written)
        os.replace(written, target)
    return target


class _Served(tf.Module):
    """What the SavedModel holds: its functions, the variables they read, and files."""

    def __init__(
        self, twin: Any, model: Any, rle_masks: bool, max_pixels: int, input_dtype: str
    ) -> None:
        super().__init__()
        names, pixels = list(model.class_names), model.pixels
        input_size, keypoint_shift = model.input_size, model.keypoint_shift

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, None, None, pixels.channels], tf.float32),
                tf.TensorSpec([None, 2], tf.int32),
                tf.TensorSpec([None, 2], tf.int32),
            ],
            autograph=False,
        )
        def detect(
            images: Tensor, image_sizes: Tensor, original_sizes: Tensor
        ) -> dict[str, Tensor]:
            found = twin({"images": images, "image_sizes": image_sizes}, training=False)
            results = to_original(found, image_sizes, original_sizes, keypoint_shift)
            if rle_masks:
                results["mask_rles"] = full_size_rles(results)
            # One row for each picture: TensorFlow Serving's REST API answers picture by picture.
            results["class_names"] = tf.tile([names], [tf.shape(images)[0], 1])
            return results

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, None, None, pixels.channels], input_dtype, name="images")
            ],
            autograph=False,
        )
        def serving_default(images: Tensor) -> dict[str, Tensor]:
            return detect(**letterbox_batch(to_levels(images, pixels), input_size))

        # TensorFlow Serving's REST API takes base64 for inputs whose name ends in _bytes.
        @tf.function(
            input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")], autograph=False
        )
        def encoded(image_bytes: Tensor) -> dict[str, Tensor]:
            return detect(**decode_batch(image_bytes, input_size, max_pixels))

        # Concrete, or saving would trace them again.
        self.serving_default = serving_default.get_concrete_function()
        self.encoded = encoded.get_concrete_function() if pixels.is_common else None


def _input_dtype(pixels: PixelFormat) -> str:
    """Of values as files of that format have them."""
    if pixels.value_range is None:
        return "uint8"
    low, high = pixels.value_range
    is_whole = all(float(value).is_integer() for value in (low, high))
    # Of fewer steps than bytes have, such as 0..1, values are fractions.
    is_deep = low >= 0 and high <= 65535 and high - low >= 255
    return "uint16" if is_whole and is_deep else "float32"


def _variables(functions: Any) -> list[tf.Variable]:
    """Those that the functions read, once each."""
    return list({id(v): v for function in functions for v in function.variables}.values())


def _write_assets(model: Any, settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Files that travel with the model: what a client needs to name what it gets."""
    classes = folder / "class_names.txt"
    classes.write_text("".join(f"{name}\n" for name in model.class_names), encoding="utf-8")
    config = folder / "config.json"
    content = {"model": model.get_config(), "export": settings}
    config.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return {
        "class_names": tf.saved_model.Asset(str(classes)),
        "config": tf.saved_model.Asset(str(config)),
    }


def _next_version(parent: Path) -> int:
    known = [int(p.name) for p in parent.glob("*") if p.is_dir() and p.name.isdecimal()]
    return max(known, default=0) + 1
