"""RoIPool (Fast R-CNN, section 2.1): by the compiled op, or by stock TensorFlow ops.

Legend: B images, R RoIs, C channels, H_l W_l the size of level l, ph pw the output size, E pairs
of a bin and a cell in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from keras_maskrcnn.ops.compiled import compiled_ops
from keras_maskrcnn.ops.roi_align import check_arguments, roi_align_backend

Tensor = Any

# Cells beyond these cannot be in a map; bounds the conversion of absurd coordinates to integers.
FAR_CELL = 1e6


def roi_pool(
    features: Sequence[Tensor],
    boxes: Tensor,
    batch_indices: Tensor,
    levels: Tensor,
    *,
    output_size: int | tuple[int, int],
    scales: Sequence[float],
    backend: str | None = None,
) -> Tensor:
    """Maximum over each bin's cells, with boxes and bins rounded to whole cells.

    Kept to compare with RoIAlign (Mask R-CNN, table 2c). Rounds as torchvision's kernel does. Where
    several cells share a maximum, the compiled op gives the gradient to the first of them, the
    stock ops give each a part.

    Args:
        features, boxes, batch_indices, levels, output_size, scales: as `roi_align`.
        backend: as `roi_align_backend`; `"gather"` is the same as `"reference"` here.

    Returns:
        `[R, ph, pw, C]` of the features' dtype, 0 for bins outside of the map.

    Raises:
        ValueError: for arguments that do not fit together.
        TypeError: for features of another dtype.
        tf.errors.InvalidArgumentError: for an index out of range, on the CPU.
    """
    features, boxes, batch_indices, levels, size = check_arguments(
        features, boxes, batch_indices, levels, output_size, scales
    )
    rois = (boxes, batch_indices, levels)
    if roi_align_backend(backend) != "compiled":
        return _roi_pool_reference(features, *rois, size, scales)
    return compiled_ops().maskrcnn_roi_pool(
        features=features,
        boxes=boxes,
        batch_indices=batch_indices,
        levels=levels,
        scales=list(scales),
        output_height=size[0],
        output_width=size[1],
    )[0]


def _roi_pool_reference(
    features: Sequence[tf.Tensor],
    boxes: tf.Tensor,
    batch_indices: tf.Tensor,
    levels: tf.Tensor,
    output_size: tuple[int, int],
    scales: Sequence[float],
) -> tf.Tensor:
    """RoIPool in stock ops: readable, but takes memory for every cell of every bin, E x C."""
    shapes = tf.stack([tf.shape(feature) for feature in features])
    heights, widths = (tf.gather(shapes[:, axis], levels) for axis in (1, 2))
    images = tf.gather(tf.range(shapes[0, 0]), batch_indices)
    first_cells = tf.cumsum(tf.reduce_prod(shapes[:, :3], 1), exclusive=True)
    first_cells = tf.gather(first_cells, levels) + images * heights * widths  # [R]

    scaled = boxes * tf.gather(tf.constant(scales, tf.float32), levels)[:, None]
    # As C's roundf: halves away from zero.
    cells = tf.sign(scaled) * tf.floor(tf.abs(scaled) + 0.5)
    cells = tf.clip_by_value(tf.where(cells == cells, cells, -FAR_CELL), -FAR_CELL, FAR_CELL)
    (ph, pw), channels = output_size, features[0].shape[-1]
    y_first, y_count = _bin_ranges(cells[:, 1], cells[:, 3], ph, heights)  # [R, ph]
    x_first, x_count = _bin_ranges(cells[:, 0], cells[:, 2], pw, widths)  # [R, pw]

    counts = tf.reshape(y_count[:, :, None] * x_count[:, None, :], [-1])  # [R ph pw]
    bins = tf.repeat(tf.range(tf.size(counts)), counts)  # [E]
    cell = tf.range(tf.size(bins)) - tf.gather(tf.cumsum(counts, exclusive=True), bins)
    roi = bins // (ph * pw)
    y_bin = tf.stack([roi, bins // pw % ph], 1)
    x_bin = tf.stack([roi, bins % pw], 1)
    per_row = tf.gather_nd(x_count, x_bin)
    y = tf.gather_nd(y_first, y_bin) + cell // per_row
    x = tf.gather_nd(x_first, x_bin) + cell % per_row
    index = tf.gather(first_cells, roi) + y * tf.gather(widths, roi) + x

    values = tf.gather(tf.concat([tf.reshape(f, (-1, channels)) for f in features], 0), index)
    pooled = tf.math.unsorted_segment_max(values, bins, tf.size(counts))
    pooled = tf.where((counts > 0)[:, None], pooled, tf.zeros((), values.dtype))
    rois = -1 if boxes.shape[0] is None else boxes.shape[0]
    return tf.reshape(pooled, (rois, ph, pw, channels))


def _bin_ranges(
    low: tf.Tensor, high: tf.Tensor, bins: int, extent: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """First cell and number of cells of each bin along one axis, within the map, int32 [R, P].

    Args:
        low, high: whole cells of the boxes' sides, float32 [R].
        bins: P.
        extent: cells of the RoI's map, int32 [R].
    """
    bin_size = (tf.maximum(high - low + 1.0, 1.0) / bins)[:, None]
    index = tf.range(bins, dtype=tf.float32)
    low, extent = tf.cast(low, tf.int32)[:, None], extent[:, None]
    first = tf.maximum(low + tf.cast(tf.floor(index * bin_size), tf.int32), 0)
    end = tf.minimum(low + tf.cast(tf.math.ceil((index + 1.0) * bin_size), tf.int32), extent)
    return first, tf.maximum(end - first, 0)
