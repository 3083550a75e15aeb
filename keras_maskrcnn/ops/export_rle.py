"""Masks drawn and run-length encoded within a TensorFlow graph, for exported models.

The twin of `ops/paste.py`, pixel for pixel: see there why both round alike. A mask is drawn some
columns at a time and only the ends of its runs are kept, so that the graph never holds a picture.

Legend: `D` detections, `M` mask side, `h w` picture size, `ch cw` size of the crop that a box can
reach, `r` runs.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

Tensor = Any

# Pixels drawn at once: 4 MiB as float64.
_BLOCK_PIXELS = 1 << 19
# Groups of five bits of a run's length: enough for pictures of 2^39 pixels.
_GROUPS = 8


def paste_rles(
    masks: Tensor, boxes: Tensor, image_sizes: Tensor, valid: Tensor, threshold: float = 0.5
) -> Tensor:
    """COCO's compressed run-length encoding of each mask in its picture.

    Args:
        masks: float32 `[D, M, M]` probabilities on the boxes' grids.
        boxes: float32 `[D, 4]` x1 y1 x2 y2 in pixels of the picture, with an area.
        image_sizes: int32 `[D, 2]`, `(h, w)` of each detection's picture.
        valid: bool `[D]`; the others get an empty string.
        threshold: pixels of at least this value are set.

    Returns:
        string `[D]`: the `counts` of pycocotools' encoding for `size` `[h, w]`.
    """
    chosen = tf.where(valid)[:, 0]

    def one(row: Tensor) -> Tensor:
        edges = _run_edges(masks[row], boxes[row], image_sizes[row], threshold)
        size = tf.cast(image_sizes[row], tf.int64)
        return _compressed(_run_lengths(edges, size[0] * size[1]))

    # Few at a time: each holds a block.
    strings = tf.map_fn(
        one, chosen, fn_output_signature=tf.TensorSpec([], tf.string), parallel_iterations=2
    )
    place = tf.where(valid, tf.cumsum(tf.cast(valid, tf.int32)) - 1, tf.size(strings))
    return tf.gather(tf.concat([strings, [""]], 0), place)


def _axis_weights(
    start: Tensor, end: Tensor, side: int, length: Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """First pixel (int64) that the grid reaches along one axis, and `[pixels, M]` weights."""
    extent = end - start
    margin = extent / (2 * side)
    length = tf.cast(length, tf.float64)
    first = tf.maximum(tf.constant(0.0, tf.float64), tf.floor(start - margin - 0.5))
    last = tf.maximum(first, tf.minimum(length, tf.math.ceil(end + margin + 0.5)))
    centres = tf.range(first, last) + 0.5
    u = (centres - start) / extent * side - 0.5
    low = tf.floor(u)
    fraction = tf.cast(u - low, tf.float32)[:, None]
    cell = tf.range(side, dtype=tf.float64) - low[:, None]
    weights = tf.where(cell == 0.0, 1.0 - fraction, 0.0) + tf.where(cell == 1.0, fraction, 0.0)
    return tf.cast(first, tf.int64), tf.cast(weights, tf.float64)


def _run_edges(mask: Tensor, box: Tensor, image_size: Tensor, threshold: float) -> Tensor:
    """Starts and ends of the runs in turn, int64 `[2 r]`, as column-major pixels of the picture.

    No run crosses from one column of pixels into the next.
    """
    side = mask.shape[-1]
    box, mask = tf.cast(box, tf.float64), tf.cast(mask, tf.float64)
    height = tf.cast(image_size[0], tf.int64)
    top, rows = _axis_weights(box[1], box[3], side, image_size[0])  # [ch, M]
    left, columns = _axis_weights(box[0], box[2], side, image_size[1])  # [cw, M]
    across = tf.matmul(columns, mask, transpose_b=True)  # [cw, M]
    across = tf.cast(tf.cast(across, tf.float32), tf.float64)
    count = tf.shape(across, out_type=tf.int64)[0]
    # A blank pixel under every column ends the runs.
    pixels = tf.shape(rows, out_type=tf.int64)[0] + 1
    step = tf.maximum(tf.constant(1, tf.int64), _BLOCK_PIXELS // pixels)

    def draw(start: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
        values = tf.matmul(across[start : start + step], rows, transpose_b=True)
        inside = tf.cast(values, tf.float32) >= threshold
        flat = tf.reshape(tf.pad(inside, [[0, 0], [0, 1]]), [-1])
        before = tf.concat([[False], flat[:-1]], 0)
        changes = tf.where(tf.not_equal(flat, before))[:, 0]
        found = (left + start + changes // pixels) * height + top + changes % pixels
        return start + step, tf.concat([edges, found], 0)

    return tf.while_loop(
        lambda start, _: start < count,
        draw,
        (tf.constant(0, tf.int64), tf.zeros([0], tf.int64)),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([None])),
        parallel_iterations=1,
    )[1]


def _run_lengths(edges: Tensor, pixels: Tensor) -> Tensor:
    """Lengths of the runs outside and inside in turn, int64."""
    starts, ends = edges[0::2], edges[1::2]
    # A run to the bottom of a column and one from the top of the next are the same run.
    nowhere = tf.constant([-1], tf.int64)
    own_start = tf.not_equal(starts, tf.concat([nowhere, ends], 0)[:-1])
    own_end = tf.not_equal(ends, tf.concat([starts, nowhere], 0)[1:])
    runs = [tf.boolean_mask(starts, own_start), tf.boolean_mask(ends, own_end)]
    edges = tf.reshape(tf.stack(runs, 1), [-1])
    lengths = tf.concat([edges, pixels[None]], 0) - tf.concat([[tf.zeros_like(pixels)], edges], 0)
    # The object holds the last pixel: nothing follows it.
    nothing = (lengths[-1] == 0) & (tf.size(lengths) > 1)
    return lengths[: tf.size(lengths) - tf.cast(nothing, tf.int32)]


def _compressed(lengths: Tensor) -> Tensor:
    """pycocotools' text form of run lengths, a string scalar.

    From the fourth on, a length is stored as the difference to the last but one. A number is
    written five bits at a time, lowest first, with a sixth bit where more follow, plus 48.
    """
    earlier = tf.concat([tf.zeros([3], tf.int64), lengths[1:-2]], 0)[: tf.size(lengths)]
    rest = lengths - earlier
    characters, written = [], []
    goes_on = tf.ones_like(rest, tf.bool)
    for _ in range(_GROUPS):
        group = tf.bitwise.bitwise_and(rest, 31)
        rest = tf.bitwise.right_shift(rest, tf.constant(5, tf.int64))
        written.append(goes_on)
        # Done when what is left repeats the sign, the highest bit of the group.
        sign = tf.where(group >= 16, tf.constant(-1, tf.int64), tf.constant(0, tf.int64))
        more = tf.not_equal(rest, sign)
        goes_on &= more
        characters.append(group + tf.where(more, tf.constant(80, tf.int64), 48))
    text = tf.boolean_mask(tf.stack(characters, 1), tf.stack(written, 1))
    return tf.strings.unicode_encode(tf.cast(text, tf.int32), "UTF-8")
