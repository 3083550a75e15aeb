"""Greedy non-maximum suppression. Raw TensorFlow: Keras has no such op.

Legend: `B` images, `n` candidates, `D` survivors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_maskrcnn.ops.boxes import pairwise_iou

Tensor = Any

# Candidates that a turn of the looped NMS settles.
_BLOCK = 256


def largest_float32_not_above(threshold: float) -> float:
    """Makes `iou > threshold` mean in float32 what it means in real numbers: float32(.3) > .3."""
    rounded = np.float32(threshold)
    above = float(rounded) > threshold  # as Python floats: NumPy would round the threshold too
    return float(np.nextafter(rounded, np.float32(-np.inf)) if above else rounded)


def batched_nms(
    boxes: Tensor,
    scores: Tensor,
    groups: Tensor,
    iou_threshold: float,
    max_output: int,
    score_threshold: float = float("-inf"),
    looped: bool = False,
) -> tuple[Tensor, Tensor]:
    """Per-image, per-group NMS: boxes of different groups (classes, levels) never meet.

    A box is dropped when its IoU with a better kept box of its group is greater than
    `iou_threshold`; of equal scores the first wins.

    Args:
        boxes: float32 `[B, n, 4]`.
        scores: float32 `[B, n]`; candidates at or below `score_threshold` do not take part.
        groups: int32 `[B, n]`.
        iou_threshold: in [0, 1].
        max_output: `D`.
        score_threshold: see `scores`.
        looped: by a loop over blocks of candidates instead of TensorFlow's op: for XLA, whose form
            of that op compares all candidates at once, 6 GB for 1000 RoIs of 80 classes.

    Returns:
        indices int32 `[B, D]` by falling score, 0 in unused slots, and counts int32 `[B]`.
    """
    # Groups are moved apart, so that one call serves them all (as torchvision does). They stand on
    # a square around the origin rather than in one row: 90 classes in a row put the last at 10^5
    # pixels, where float32 holds a coordinate to 1/128 and NMS keeps other boxes.
    limits = [tf.reduce_max(boxes, axis=[1, 2]), tf.reduce_min(boxes, axis=[1, 2])]
    span = (limits[0] - limits[1] + 1.0)[:, None]
    side = tf.math.ceil(tf.sqrt(tf.cast(tf.reduce_max(groups) + 1, boxes.dtype)))
    row = tf.floor(tf.cast(groups, boxes.dtype) / side)
    column = tf.cast(groups, boxes.dtype) - row * side
    shifts = [span * (place - tf.floor(side / 2.0)) for place in (column, row)]
    boxes = boxes + tf.stack([*shifts, *shifts], axis=-1)
    threshold = largest_float32_not_above(iou_threshold)
    if looped:
        return _looped_nms(boxes, scores, threshold, max_output, score_threshold)

    def one_image(args):
        kept, count = tf.raw_ops.NonMaxSuppressionV4(
            boxes=args[0],
            scores=args[1],
            max_output_size=max_output,
            iou_threshold=threshold,
            score_threshold=score_threshold,
            pad_to_max_output_size=True,
        )
        return kept, count

    if boxes.shape[0]:  # Known when the graph is made, and not 0.
        # Without a loop, which OpenVINO and TensorRT would not read in an ONNX file.
        pictures = zip(tf.unstack(boxes), tf.unstack(scores), strict=True)
        kept, counts = zip(*map(one_image, pictures), strict=True)
        return tf.stack(kept), tf.stack(counts)
    spec = (tf.TensorSpec([max_output], tf.int32), tf.TensorSpec([], tf.int32))
    return tf.map_fn(one_image, (boxes, scores), fn_output_signature=spec)


def _looped_nms(
    boxes: Tensor, scores: Tensor, iou_threshold: float, max_output: int, score_threshold: float
) -> tuple[Tensor, Tensor]:
    """NMS of all images at once, a block of the best candidates a turn.

    A turn first settles who of its block is kept, then drops what these overlap in later blocks.
    Each costs a GPU a dozen launches and a wait, however many candidates it settles.
    """
    images, candidates = tf.unstack(tf.shape(scores))
    turns = (candidates + _BLOCK - 1) // _BLOCK
    padding = turns * _BLOCK - candidates
    out = float("-inf")
    scores = tf.where(scores > score_threshold, scores, out)
    # The first of equals comes first.
    scores, order = tf.math.top_k(scores, candidates)
    boxes = tf.pad(tf.gather(boxes, order, batch_dims=1), [[0, 0], [0, padding], [0, 0]])
    takes_part = tf.pad(scores > out, [[0, 0], [0, padding]])
    later = tf.linalg.band_part(tf.ones([_BLOCK, _BLOCK]), 0, -1) - tf.eye(_BLOCK) > 0.0
    whole = tf.range(turns * _BLOCK)

    def part(values, begin, size):
        result = tf.slice(values, begin, size)
        result.set_shape([values.shape[0], *result.shape[1:]])  # A loop keeps its shapes.
        return result

    def settle(turn, left, kept):
        first = turn * _BLOCK
        block = part(boxes, [0, first, 0], [images, _BLOCK, 4])
        overlaps = pairwise_iou(block, boxes) > iou_threshold  # [B, block, all]
        within = part(overlaps, [0, 0, first], [images, _BLOCK, _BLOCK]) & later
        candidate = part(left, [0, first], [images, _BLOCK])

        def drop(keeps, _):
            dropped = tf.reduce_any(within & keeps[:, :, None], axis=1)
            return candidate & ~dropped, keeps

        # After i passes the first i are settled, and mostly all after few.
        keeps, _ = tf.while_loop(
            lambda keeps, before: tf.reduce_any(keeps != before),
            drop,
            (candidate, tf.zeros_like(candidate)),
        )
        dropped = tf.reduce_any(overlaps & keeps[:, :, None], axis=1)
        here = (whole >= first) & (whole < first + _BLOCK)
        rest = left & ~(dropped & (whole > first))
        return turn + 1, tf.where(here, tf.tile(keeps, [1, turns]), rest), kept + _count(keeps)

    def is_any_left(turn, left, kept):
        rest = left & (whole >= turn * _BLOCK)
        return (turn < turns) & tf.reduce_any(tf.reduce_any(rest, axis=1) & (kept < max_output))

    start = (tf.constant(0), takes_part, tf.zeros([images], tf.int32))
    turn, left, _ = tf.while_loop(is_any_left, settle, start)
    survives = left & (whole < turn * _BLOCK)
    # The first of those that survive, as many as are wanted: falling numbers for rising places.
    slots = tf.minimum(max_output, candidates)
    number = tf.where(survives, tf.cast(turns * _BLOCK - whole, tf.float32), 0.0)
    number, place = tf.math.top_k(number[:, :candidates], slots)
    index = tf.where(number > 0.0, tf.gather(order, place, batch_dims=1), 0)
    counts = tf.minimum(_count(survives), max_output)
    return tf.pad(index, [[0, 0], [0, max_output - slots]]), counts


def _count(flags: Tensor) -> Tensor:
    return tf.reduce_sum(tf.cast(flags, tf.int32), axis=1)
