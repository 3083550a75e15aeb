"""One door to all formats."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from keras_maskrcnn.export.converters import FILE_FORMATS, export_file
from keras_maskrcnn.export.saved_model import export_saved_model
from keras_maskrcnn.ops.gpu_forms import plain_forms

FORMATS = ("tf_saved_model", *FILE_FORMATS)

# 300 MB once decoded. More than cameras make, but for a few that join several exposures.
MAX_PIXELS = 100_000_000


@plain_forms()
def export_model(
    model: Any,
    path: str | os.PathLike[str],
    format: str = "tf_saved_model",
    *,
    version: int | None = None,
    rle_masks: bool = False,
    max_pixels: int | None = None,
    input_dtype: str | None = None,
    batch_size: int | str | None = None,
    score_threshold: float | None = None,
    max_detections: int | None = None,
    nms_iou: float | None = None,
    **options: Any,
) -> Path:
    """Writes a model that runs without this package.

    `"tf_saved_model"` writes the folder `path/version/` for TensorFlow Serving, of stock TensorFlow
    ops. It takes pictures as clients have them and answers in their own pixels:

    - `serving_default`: `images`, `input_dtype` `[B, h, w, C]`, of any size, with values as files
      have them: the model's `value_range` is black and white. Without one, uint8 and float32 are
      0..255, and uint16 is 0..65535;
    - `encoded`, of models for RGB without a `value_range`: `image_bytes`, string `[B]`, whole JPEG,
      PNG, BMP or GIF files, of unlike sizes. PNG files of 16 bits keep them. Each is turned
      upright, as its EXIF orientation says; the answer is in upright pixels. A file that cannot be
      decoded, or whose header announces more than `max_pixels`, fails the call, with its position
      in the message (`refusals.read_refusal`).

    Both return, for `D` slots per picture, best score first, padding last: `boxes` float32
    `[B, D, 4]`, `classes` int32 `[B, D]` (-1 where padded), `scores` float32 `[B, D]`, `counts`
    int32 `[B]`, `image_sizes` int32 `[B, 2]` (height, width), `masks` float32 `[B, D, M, M]` over
    the boxes, `keypoints` float32 `[B, D, J, 3]` where the model has them, and with `rle_masks`
    `mask_rles` string `[B, D]`: the full-size mask, as the `counts` of COCO's compressed run-length
    encoding. `class_names` string `[B, K]` names all classes, the same in every row, so that a
    client needs no file beside the server. The configuration lies in `assets/`.

    `"onnx"` and `"litert"` write one file through Keras' exporters. It holds the network alone:
    `images` float32 `[B, H, W, C]`, 0..255 from black to white, sides a multiple of the model's
    `size_divisor`, and `image_sizes` int32 `[B, 2]`; it returns what the model returns, in pixels
    of its input. ONNX files are for ONNX Runtime, OpenVINO and TensorRT alike.

    The thresholds are fixed at export. A signature of TensorFlow Serving has no optional inputs, so
    as inputs every client would have to send them; the number of slots is a shape. Since results
    come sorted by score, a client that wants fewer drops the tail.

    Args:
        model: a `MaskRCNN`.
        path: folder of all versions; or the file, ending `.onnx` or `.tflite`.
        format: one of `FORMATS`.
        version: number of the SavedModel's folder; by default the highest there is, plus 1.
        rle_masks: whether the SavedModel returns full-size masks, too.
        max_pixels: of one picture sent as a file, since a file of a few kilobytes can hold a
            picture of gigabytes (of a GIF all frames count). By default 100 million, which take
            300 MB once decoded.
        input_dtype: of `serving_default`: `"uint8"`, `"uint16"` or `"float32"`. By default uint8
            for models without a `value_range`; else uint16 where that lies in 0..65535 and has 255
            whole steps or more, and float32 otherwise.
        batch_size: `B` of an ONNX file, by default 1. `"any"` takes a loop over the pictures, which
            ONNX Runtime alone runs. LiteRT files always take any number.
        score_threshold, max_detections, nms_iou: in place of the model's own.
        **options: of Keras' ONNX and LiteRT exporters, such as `opset_version`, `input_signature`
            or `optimizations`.

    Returns:
        The folder or file written. Nothing is left behind where an error is raised.

    Raises:
        ValueError: for arguments that do not fit, an op that the server would lack (it is named),
            or a model that the format cannot hold (with the reason).
        ImportError: where a converter's package is missing; it tells what to install.
    """
    thresholds = {
        "score_threshold": score_threshold,
        "max_detections": max_detections,
        "nms_iou": nms_iou,
    }
    if format == "tf_saved_model":
        if batch_size is not None:
            raise ValueError(
                "batch_size belongs to format='onnx'; a SavedModel takes any number of pictures. "
                f"Received: batch_size={batch_size!r}"
            )
        if options:
            raise ValueError(
                f"format='tf_saved_model' has no further options. Received: {sorted(options)}"
            )
        return export_saved_model(
            model,
            path,
            version=version,
            rle_masks=rle_masks,
            max_pixels=MAX_PIXELS if max_pixels is None else max_pixels,
            input_dtype=input_dtype,
            thresholds=thresholds,
        )
    if format not in FORMATS:
        raise ValueError(f"format must be one of {FORMATS}. Received: format={format!r}")
    if version is not None or rle_masks or max_pixels is not None or input_dtype is not None:
        raise ValueError(
            "version, rle_masks, max_pixels and input_dtype belong to format='tf_saved_model'. "
            f"Received: {format=}, {version=}, {rle_masks=}, {max_pixels=}, {input_dtype=}"
        )
    return export_file(
        model, path, format, batch_size=batch_size, thresholds=thresholds, options=options
    )
