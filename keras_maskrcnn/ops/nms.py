"""Greedy non-maximum suppression. Raw TensorFlow: Keras has no such op.

Legend: `B` images, `n` candidates, `D` survivors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

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

    def one_image(args):
        kept, count = tf.raw_ops.NonMaxSuppressionV4(
            boxes=args[0],
            scores=args[1],
            max_output_size=max_output,
            iou_threshold=largest_float32_not_above(iou_threshold),
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
