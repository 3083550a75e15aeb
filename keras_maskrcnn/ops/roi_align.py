"""RoIAlign (Mask R-CNN, section 3) by the compiled op, or by stock TensorFlow ops.

Legend: B images, R RoIs, C channels, H_l W_l the size of level l, ph pw the output size.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from keras_maskrcnn.ops.compiled import compiled_ops, gpu_problem, logger
from keras_maskrcnn.ops.roi_align_reference import MAX_SAMPLES, roi_align_reference

Tensor = Any

BACKEND_VARIABLE = "KERAS_MASKRCNN_ROI_ALIGN"
BACKENDS = ("auto", "compiled", "reference", "gather")
MAX_LEVELS = 8
FEATURE_DTYPES = (tf.float32, tf.bfloat16, tf.float16)


def roi_align(
    features: Sequence[Tensor],
    boxes: Tensor,
    batch_indices: Tensor,
    levels: Tensor,
    *,
    output_size: int | tuple[int, int],
    scales: Sequence[float],
    sampling_ratio: int = 2,
    aligned: bool = True,
    backend: str | None = None,
) -> Tensor:
    """Pools each box's region of its pyramid level into a fixed grid, without any rounding.

    A bin is the mean of `sampling_ratio` x `sampling_ratio` bilinear readings at regular points.
    Within one cell outside of the map the edge value holds, farther out zero. Results and gradients
    equal torchvision's and detectron2's. Sums are float32 for any dtype of the features. The
    gradient reaches the features only, and is deterministic.

    Args:
        features: one float32, bfloat16 or float16 `[B, H_l, W_l, C]` per level, at most 8.
        boxes: float32 `[R, 4]`, x1 y1 x2 y2 in image pixels.
        batch_indices: integers `[R]`, the image of each box.
        levels: integers `[R]`, the index into `features` of each box.
        output_size: bins per side, or (height, width).
        scales: 1 / stride of each level.
        sampling_ratio: samples per bin and axis, at most 1024; 0 takes as many as the bin has
            cells.
        aligned: shift by half a cell, so that pixel centres are samples; False also gives boxes
            at least one cell (torchvision's published models).
        backend: see `roi_align_backend`.

    Returns:
        `[R, ph, pw, C]` of the features' dtype.

    Raises:
        ValueError: for arguments that do not fit together.
        TypeError: for features of another dtype.
        tf.errors.InvalidArgumentError: for an index out of range, on the CPU.
    """
    features, boxes, batch_indices, levels, size = check_arguments(
        features, boxes, batch_indices, levels, output_size, scales
    )
    if not 0 <= sampling_ratio <= MAX_SAMPLES:
        raise ValueError(
            f"sampling_ratio must be 0 (adaptive) or the samples per bin and axis, up to "
            f"{MAX_SAMPLES}. Received: sampling_ratio={sampling_ratio}"
        )
    chosen = roi_align_backend(backend)
    if chosen == "compiled":
        return compiled_ops().maskrcnn_roi_align(
            features=features,
            boxes=boxes,
            batch_indices=batch_indices,
            levels=levels,
            scales=list(scales),
            output_height=size[0],
            output_width=size[1],
            sampling_ratio=sampling_ratio,
            aligned=aligned,
        )
    return roi_align_reference(
        features,
        boxes,
        batch_indices,
        levels,
        output_size=size,
        scales=scales,
        sampling_ratio=sampling_ratio,
        aligned=aligned,
        gather=chosen == "gather",
    )


def roi_align_backend(backend: str | None = None) -> str:
    """The implementation that RoIAlign and RoIPool use.

    - `"compiled"`: the op of custom_ops/, for CPU and GPU.
    - `"reference"`: stock TensorFlow ops, exact too; runs wherever TensorFlow and stock
      TensorFlow Serving do.
    - `"gather"`: as reference, of ops that XLA, ONNX and LiteRT know; slower.

    Args:
        backend: one of these, or `"auto"`: the compiled op where it loads and, where TensorFlow
            sees a GPU, runs on it; else the reference, after a warning that says why.
            Default: the environment variable `KERAS_MASKRCNN_ROI_ALIGN`, or `"auto"`.

    Raises:
        ValueError: for another name.
        RuntimeError: when `"compiled"` is asked for and not available.
    """
    wanted = backend or os.environ.get(BACKEND_VARIABLE) or "auto"
    if wanted not in BACKENDS:
        source = "backend" if backend else BACKEND_VARIABLE
        raise ValueError(f"{source} must be one of {BACKENDS}. Received: {source}={wanted!r}")
    if wanted == "auto":
        return _automatic_backend()
    if wanted == "compiled":
        compiled_ops()
    return wanted


@functools.lru_cache(maxsize=1)
def _automatic_backend() -> str:
    try:
        compiled_ops()
    except RuntimeError as error:
        logger.warning("%s. Stock TensorFlow ops take its place: exact, but slower.", error)
        return "reference"
    # Where our kernel does not run on the GPU, it would on the CPU, in less time than the features'
    # way there and, in training, their gradient's way back. The stock ops keep both on the GPU.
    return "reference" if gpu_problem() else "compiled"


def check_arguments(
    features: Sequence[Tensor],
    boxes: Tensor,
    batch_indices: Tensor,
    levels: Tensor,
    output_size: int | tuple[int, int],
    scales: Sequence[float],
) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor, tf.Tensor, tuple[int, int]]:
    """Tensors of the right dtypes, and the output size as a pair; raises as `roi_align`."""
    features = [tf.convert_to_tensor(feature) for feature in features]
    if not 1 <= len(features) <= MAX_LEVELS or len(features) != len(scales):
        raise ValueError(
            f"features must be 1 to {MAX_LEVELS} levels, with one scale, 1 / stride, for each. "
            f"Received: {len(features)} levels, scales={tuple(scales)}"
        )
    if features[0].dtype not in FEATURE_DTYPES or len({f.dtype for f in features}) > 1:
        raise TypeError(
            f"features must all be one of {[dtype.name for dtype in FEATURE_DTYPES]}. "
            f"Received: {[feature.dtype.name for feature in features]}"
        )
    if any(f.shape.rank != 4 or f.shape[-1] != features[0].shape[-1] for f in features):
        raise ValueError(
            "features must be [B, H, W, C], channels last, of equal C. "
            f"Received: shapes {[tuple(feature.shape) for feature in features]}"
        )
    size = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
    if len(size) != 2 or min(size) < 1:
        raise ValueError(
            f"output_size must be bins per side or (height, width). Received: {output_size=}"
        )
    boxes = tf.convert_to_tensor(boxes, tf.float32)
    if boxes.shape.rank != 2 or boxes.shape[1] != 4:
        raise ValueError(
            f"boxes must be [R, 4], x1 y1 x2 y2. Received: boxes of shape {boxes.shape}"
        )
    return features, boxes, tf.cast(batch_indices, tf.int32), tf.cast(levels, tf.int32), size
