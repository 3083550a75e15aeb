"""Greedy non-maximum suppression. Raw TensorFlow: Keras has no such op.

Legend: `B` images, `n` candidates, `D` survivors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_maskrcnn.ops.boxes import pairwise_iou

Tensor = Any


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
        looped: by a loop over the survivors instead of TensorFlow's op: for XLA, whose form of that
            op compares all candidates with each other, 6 GB for 1000 RoIs of 80 classes.

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
    """NMS of all images at once: the best box is taken, what it overlaps drops out, and so on."""
    candidates = tf.shape(scores)[1]
    places, slots = tf.range(candidates), tf.range(max_output)
    out = float("-inf")

    def take_best(number, left, index, counts):
        value = tf.reduce_max(left, axis=1, keepdims=True)
        # The first of equals, of which an arg max may give any.
        best = tf.reduce_min(tf.where(left == value, places, candidates), axis=1, keepdims=True)
        is_there = value > out
        best = tf.where(is_there, best, 0)
        box = tf.gather(boxes, best, batch_dims=1)  # [B, 1, 4]
        drops = pairwise_iou(box, boxes)[:, 0] > iou_threshold
        left = tf.where(drops | (places == best), out, left)
        index = tf.where(slots == number, best, index)
        return number + 1, left, index, counts + tf.cast(is_there[:, 0], tf.int32)

    def is_any_left(number, left, *_):
        return (number < max_output) & tf.reduce_any(left > out)

    images = tf.shape(scores)[0]
    start = (
        tf.constant(0),
        tf.where(scores > score_threshold, scores, out),
        tf.zeros([images, max_output], tf.int32),
        tf.zeros([images], tf.int32),
    )
    _, _, index, counts = tf.while_loop(is_any_left, take_best, start)
    return index, counts
