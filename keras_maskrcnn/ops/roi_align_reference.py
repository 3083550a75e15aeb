"""RoIAlign in stock TensorFlow ops: the readable twin of the compiled op.

Legend: B images, R RoIs, L levels, H W the size of a level, C channels, P bins of a RoI along
one axis (ph, pw along each), S samples of a bin along one axis, T = 2 S taps: the two cells that
each sample reads. E entries of the matrix below where their number differs between RoIs.

A bin is the mean of its samples, a sample a bilinear reading of four cells, so RoIAlign is linear
in the features: `pooled [R ph pw, C] = weights [R ph pw, cells] @ features [cells, C]` with a
sparse matrix, and the gradient is the product with its transpose. The weights are separable: those
of a bin are the outer product of its taps along y and along x.

TensorFlow's CSR product runs on all threads and is deterministic on the CPU; a GPU's (cuSPARSE's)
may round its sums differently each time. `tf.image.crop_and_resize`, the
usual stock way, is inexact (normalised coordinates), and its gradient on the CPU adds from several
threads without a lock: contributions get lost where boxes overlap.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

# Most samples per bin and axis; also the bound of the adaptive ratio, against boxes that are
# absurdly large.
MAX_SAMPLES = 1024


def roi_align_reference(
    features: Sequence[tf.Tensor],
    boxes: tf.Tensor,
    batch_indices: tf.Tensor,
    levels: tf.Tensor,
    *,
    output_size: tuple[int, int],
    scales: Sequence[float],
    sampling_ratio: int,
    aligned: bool,
    gather: bool = False,
) -> tf.Tensor:
    """RoIAlign over all levels; arguments and result as `keras_maskrcnn.ops.roi_align`.

    Args:
        gather: multiply by gathering cells rather than by a sparse matrix: for XLA, ONNX, LiteRT.
    """
    if gather and sampling_ratio == 0:
        raise ValueError(
            'the "gather" backend needs a fixed number of samples. '
            f"Received: sampling_ratio={sampling_ratio}"
        )
    shapes = [tf.shape(feature) for feature in features]
    cells = [tf.reduce_prod(shape[:3]) for shape in shapes]
    heights, widths = (tf.gather(tf.stack([s[axis] for s in shapes]), levels) for axis in (1, 2))
    # tf.gather refuses an index out of range, which as a matrix column would read anywhere.
    images = tf.gather(tf.range(shapes[0][0]), batch_indices)
    first_cells = tf.gather(tf.cumsum(cells, exclusive=True), levels) + images * heights * widths

    scaled = boxes * tf.gather(tf.constant(scales, tf.float32), levels)[:, None]
    start = scaled - 0.5 if aligned else scaled
    size = start[:, 2:] - start[:, :2]
    if not aligned:
        size = tf.maximum(size, 1.0)
    if sampling_ratio > 0:
        samples = tf.fill(tf.shape(size), sampling_ratio)
    else:
        adaptive = tf.math.ceil(size / tf.constant(output_size[::-1], tf.float32))
        # An inverted box, or one that is not a number, gets no sample.
        adaptive = tf.where(adaptive > 0.0, tf.minimum(adaptive, MAX_SAMPLES), 0.0)
        samples = tf.cast(adaptive, tf.int32)

    y_taps, x_taps = (
        _axis_taps(start[:, axis], size[:, axis], extent, samples[:, axis], bins, sampling_ratio)
        for axis, extent, bins in ((1, heights, output_size[0]), (0, widths, output_size[1]))
    )
    y_taps = (first_cells[:, None, None] + y_taps[0] * widths[:, None, None], y_taps[1])
    bins = output_size[0] * output_size[1]
    if gather:
        pooled = _gather_matmul(features, *_outer_products(y_taps, x_taps))
    else:
        if sampling_ratio > 0:
            columns, weights = _outer_products(y_taps, x_taps)
            rows = tf.range(tf.size(columns)) // columns.shape[1]
        else:
            rows, columns, weights = _ragged_outer_products(y_taps, x_taps, 2 * samples)
        indices = tf.cast(tf.stack([rows, tf.reshape(columns, [-1])], 1), tf.int64)
        shape = tf.cast(tf.stack([tf.shape(boxes)[0] * bins, sum(cells)]), tf.int64)
        pooled = _sparse_matmul(features, indices, tf.reshape(weights, [-1]), shape)
    rois = -1 if boxes.shape[0] is None else boxes.shape[0]
    return tf.reshape(pooled, (rois, *output_size, features[0].shape[-1]))


def _axis_taps(
    start: tf.Tensor,
    size: tf.Tensor,
    extent: tf.Tensor,
    samples: tf.Tensor,
    bins: int,
    sampling_ratio: int,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Cells that each bin reads along one axis, and their weights.

    The arithmetic has the order of torchvision's and detectron2's kernels, to round as they do.

    Args:
        start, size: of the RoIs in cells, float32 [R].
        extent: cells of the RoI's map along this axis, int32 [R].
        samples: samples per bin, int32 [R].
        bins: P.
        sampling_ratio: S where it is the same for all RoIs, else 0.

    Returns:
        cells, int32 [R, P, T], within the map.
        weights, float32 [R, P, T], zero for samples more than one cell outside of the map. T
        serves the RoI of most samples; the taps of another RoI stand first in its rows.
    """
    slots = tf.range(sampling_ratio or tf.maximum(tf.reduce_max(samples), 0))
    bin_size = (size / bins)[:, None, None]  # [R, 1, 1]
    bin_start = start[:, None, None] + tf.range(bins, dtype=tf.float32)[:, None] * bin_size
    per_bin = tf.maximum(tf.cast(samples, tf.float32), 1.0)[:, None, None]
    offset = (tf.cast(slots, tf.float32) + 0.5) * bin_size / per_bin  # [R, 1, S]
    position = bin_start + offset  # [R, P, S]

    last = tf.cast(extent - 1, tf.float32)[:, None, None]
    inside = (position >= -1.0) & (position <= last + 1.0)
    position = tf.where(inside, tf.clip_by_value(position, 0.0, last), 0.0)
    low = tf.floor(position)
    high = tf.minimum(low + 1.0, last)
    fraction = position - low
    share = tf.cast(inside, tf.float32) / per_bin
    cells = tf.stack([low, high], -1)  # [R, P, S, 2]
    weights = tf.stack([(1.0 - fraction) * share, fraction * share], -1)
    taps = 2 * (sampling_ratio or tf.size(slots))
    shape = (tf.size(start), bins, taps)
    return tf.reshape(tf.cast(cells, tf.int32), shape), tf.reshape(weights, shape)


def _outer_products(
    y_taps: tuple[tf.Tensor, tf.Tensor], x_taps: tuple[tf.Tensor, tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Columns and weights [R ph pw, T T] of the matrix when all bins have T x T taps."""
    (y_cells, y_weights), (x_cells, x_weights) = y_taps, x_taps
    columns = y_cells[:, :, None, :, None] + x_cells[:, None, :, None, :]  # [R, ph, pw, T, T]
    weights = y_weights[:, :, None, :, None] * x_weights[:, None, :, None, :]
    shape = (-1, y_cells.shape[-1] * x_cells.shape[-1])
    return tf.reshape(columns, shape), tf.reshape(weights, shape)


def _ragged_outer_products(
    y_taps: tuple[tf.Tensor, tf.Tensor], x_taps: tuple[tf.Tensor, tf.Tensor], taps: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Rows, columns and weights [E] when the bins of RoI r have taps[r, 1] x taps[r, 0] taps."""
    (y_cells, y_weights), (x_cells, x_weights) = y_taps, x_taps
    ph, pw = y_cells.shape[1], x_cells.shape[1]
    counts = tf.repeat(taps[:, 0] * taps[:, 1], ph * pw)  # [R ph pw]
    rows = tf.repeat(tf.range(tf.size(counts)), counts)  # [E]
    tap = tf.range(tf.size(rows)) - tf.gather(tf.cumsum(counts, exclusive=True), rows)
    roi, y_bin, x_bin = rows // (ph * pw), rows // pw % ph, rows % pw
    x_count = tf.gather(taps[:, 0], roi)
    y_index = tf.stack([roi, y_bin, tap // x_count], 1)
    x_index = tf.stack([roi, x_bin, tap % x_count], 1)
    columns = tf.gather_nd(y_cells, y_index) + tf.gather_nd(x_cells, x_index)
    weights = tf.gather_nd(y_weights, y_index) * tf.gather_nd(x_weights, x_index)
    return rows, columns, weights


def _flatten_cells(features: Sequence[tf.Tensor]) -> tf.Tensor:
    """All levels' cells as float32 [cells, C]."""
    channels = features[0].shape[-1]
    return tf.concat([tf.reshape(tf.cast(f, tf.float32), (-1, channels)) for f in features], 0)


def _gather_matmul(
    features: Sequence[tf.Tensor], columns: tf.Tensor, weights: tf.Tensor
) -> tf.Tensor:
    """The product [R ph pw, C], one tap of all bins after the other to bound the memory."""
    cells = _flatten_cells(features)
    taps = range(columns.shape[1])
    pooled = sum(tf.gather(cells, columns[:, tap]) * weights[:, tap, None] for tap in taps)
    return tf.cast(pooled, features[0].dtype)


def _sparse_matmul(
    features: Sequence[tf.Tensor], indices: tf.Tensor, weights: tf.Tensor, shape: tf.Tensor
) -> tf.Tensor:
    """The product [R ph pw, C]. The gradient reaches the features only.

    The matrix has one row more, which is empty: TensorFlow's product of a matrix without rows
    divides by zero on CPU (seen in 2.21), and ends the process. On a GPU cuSPARSE refuses a matrix
    with more entries than elements, which one cell read several times can make of a tiny map: it
    has empty columns more, as many as that takes.
    """
    rows, columns = shape[0] + 1, shape[1]
    needed = tf.shape(weights, tf.int64)[0] // rows + 1
    spare = tf.maximum(needed - columns, 0)
    shape = tf.stack([rows, columns + spare])

    def make_matrix() -> tf.Tensor:
        return tf.raw_ops.SparseTensorToCSRSparseMatrix(
            indices=indices, values=weights, dense_shape=shape
        )

    @tf.custom_gradient
    def product(*features: tf.Tensor):
        dtype = features[0].dtype
        shapes = [tf.shape(feature) for feature in features]
        cells = _flatten_cells([*features, tf.zeros((1, 1, spare, features[0].shape[-1]), dtype)])
        pooled = tf.raw_ops.SparseMatrixMatMul(a=make_matrix(), b=cells)[:-1]

        def gradient(upstream: tf.Tensor):
            # The matrix is made again: a variant tensor may neither leave a tf.function nor enter a
            # SavedModel. Transposed first, so that each thread owns rows of the result.
            transposed = tf.raw_ops.SparseMatrixTranspose(input=make_matrix(), type=tf.float32)
            padded = tf.pad(tf.cast(upstream, tf.float32), [[0, 1], [0, 0]])
            summed = tf.raw_ops.SparseMatrixMatMul(a=transposed, b=padded)
            sizes = [tf.reduce_prod(shape[:3]) for shape in shapes]
            levels = tf.split(summed, [*sizes, tf.cast(spare, tf.int32)])[:-1]
            return [
                tf.cast(tf.reshape(level, shape), dtype)
                for level, shape in zip(levels, shapes, strict=True)
            ]

        return tf.cast(pooled, dtype), gradient

    return product(*features)
