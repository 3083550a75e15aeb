"""Soft-NMS (Bodla, Singh, Chellappa and Davis 2017, arXiv 1704.04503). Raw TensorFlow: a loop.

TensorFlow's own op knows the Gaussian alone (with half of the paper's sigma); this knows both, and
consists of operations that every server has.

Legend: `B` images, `n` candidates, `D` survivors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_maskrcnn.ops.boxes import pairwise_iou
from keras_maskrcnn.ops.nms import largest_float32_not_above

Tensor = Any
# From IoU with a better box to the factor of a score.
Decay = Callable[[Tensor], Tensor]

# Of candidates that are taken: below every score and every threshold, and times a decay still so.
_TAKEN = -1.0


def linear_decay(iou_threshold: float) -> Decay:
    """1 - IoU, where the IoU is greater than the threshold (as the authors' code has it)."""
    threshold = largest_float32_not_above(iou_threshold)
    return lambda iou: tf.where(iou > threshold, 1.0 - iou, 1.0)


def gaussian_decay(sigma: float) -> Decay:
    """exp(-IoU^2 / sigma)."""
    return lambda iou: tf.exp(-iou * iou / sigma)


def soft_nms(
    boxes: Tensor,
    scores: Tensor,
    groups: Tensor,
    decay: Decay,
    max_output: int,
    score_threshold: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Overlap with a better box of its group lowers a box's score, where NMS drops the box.

    The best box is taken, all others of its group decay, and the best of what remains is next; of
    equal scores the first.

    Args:
        boxes: float32 `[B, n, 4]`.
        scores: float32 `[B, n]` in 0..1.
        groups: int32 `[B, n]`: boxes of different groups never meet.
        decay: `linear_decay` or `gaussian_decay`.
        max_output: `D`.
        score_threshold: at least 0; boxes end as soon as the best score is not above it.

    Returns:
        indices int32 `[B, D]`, scores float32 `[B, D]`, falling, and counts int32 `[B]`; 0 in
        unused slots.
    """
    places = tf.range(tf.shape(scores)[1])
    slots = tf.range(max_output)

    def take_best(number, left, index, values):
        # Of equal values `argmax` may give any.
        value, best = (x[:, 0] for x in tf.math.top_k(left, 1))
        box = tf.gather(boxes, best, batch_dims=1)
        group = tf.gather(groups, best, batch_dims=1)
        factor = decay(pairwise_iou(box[:, None], boxes)[:, 0])
        left = tf.where(groups == group[:, None], left * factor, left)
        left = tf.where(places == best[:, None], _TAKEN, left)
        here = slots == number
        index = tf.where(here, best[:, None], index)
        return number + 1, left, index, tf.where(here, value[:, None], values)

    def is_any_left(number, left, *_):
        return (number < max_output) & tf.reduce_any(left > score_threshold)

    empty = tf.zeros([tf.shape(scores)[0], max_output])
    start = (tf.constant(0), scores, tf.cast(empty, tf.int32), empty)
    _, _, index, values = tf.while_loop(is_any_left, take_best, start)
    kept = values > score_threshold
    counts = tf.reduce_sum(tf.cast(kept, tf.int32), axis=1)
    return tf.where(kept, index, 0), tf.where(kept, values, 0.0), counts
