"""Which object does an anchor or proposal stand for?

Legend: `B` images, `A` anchors or proposals, `N` ground-truth objects, `K` objects at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_maskrcnn.ops.boxes import pairwise_intersection_over_area, pairwise_iou

Tensor = Any

POSITIVE, NEGATIVE, IGNORED = 1, 0, -1

# Objects that one turn of a loop compares with all boxes: one takes a GPU as long as eight, since
# it waits for the launch of each operation; a CPU does not mind.
OBJECTS_PER_TURN = 8


def match(
    iou_with: Callable[[Tensor], Tensor],
    num_turns: Tensor,
    shape: tuple[Any, Any],
    positive_iou: float,
    negative_iou: float,
    best_anchors: bool = False,
    match_zero_iou: bool = False,
) -> tuple[Tensor, Tensor]:
    """Assigns each box its best object and a label, some objects at a time.

    Memory is `O(B A K)`, not `O(B A N)`: pictures with hundreds of objects have millions of
    anchors.

    Args:
        iou_with: maps a turn t (scalar int32) to the IoU of the objects t K to t K + K - 1 with
            every box, `[B, K, A]`; -1 where the object is padding.
        num_turns: how many turns there are: `N / K`, or as many as have valid objects.
        shape: `(B, A)`.
        positive_iou: a box is positive from this IoU on.
        negative_iou: a box is negative below this IoU; between the two it is ignored.
        best_anchors: also label positive every box that ties an object's best IoU (Faster R-CNN
            section 3.1.2, rule i). Such a box still stands for the object it overlaps most.
        match_zero_iou: apply that rule also to an object that no box overlaps, as torchvision and
            detectron2 do; every box without overlap then turns positive.

    Returns:
        matched object int32 `[B, A]` (the first of equals; 0 without objects) and
        label int32 `[B, A]`: `POSITIVE`, `NEGATIVE` or `IGNORED`.
    """

    # Objects are numbered in float32 and labels compared in it: TensorFlow keeps what a loop
    # carries in int32, and compares int32, on the host, even where there is a GPU.
    def step(turn, best_iou, best_object, is_best):
        iou = iou_with(turn)
        count = iou.shape[1]
        for k in range(count):
            better = iou[:, k] > best_iou
            index = ops.cast(turn * count + k, "float32")
            best_object = ops.where(better, index, best_object)
            best_iou = ops.where(better, iou[:, k], best_iou)
        if best_anchors:
            top = ops.max(iou, axis=2, keepdims=True)
            reachable = top >= 0.0 if match_zero_iou else top > 0.0
            is_best = is_best | ops.any(reachable & (iou == top), axis=1)
        return turn + 1, best_iou, best_object, is_best

    num_turns = ops.cast(num_turns, "int32")
    _, best_iou, best_object, is_best = ops.while_loop(
        lambda turn, *_: turn < num_turns,
        step,
        (
            ops.convert_to_tensor(0, "int32"),
            ops.full(shape, -1.0, "float32"),
            ops.zeros(shape, "float32"),
            ops.zeros(shape, "bool"),
        ),
    )
    labels = ops.where(best_iou < negative_iou, NEGATIVE, IGNORED)
    labels = ops.where((best_iou >= positive_iou) | is_best, POSITIVE, labels)
    return ops.cast(best_object, "int32"), ops.cast(labels, "int32")


def match_boxes(
    boxes: Tensor,
    gt_boxes: Tensor,
    gt_valid: Tensor,
    positive_iou: float,
    negative_iou: float,
    best_anchors: bool = False,
    match_zero_iou: bool = False,
) -> tuple[Tensor, Tensor]:
    """`match` on boxes.

    Args:
        boxes: `[B, A, 4]`, or `[1, A, 4]` for anchors that all images share.
        gt_boxes: `[B, N, 4]`.
        gt_valid: bool `[B, N]`, valid objects first.
        positive_iou, negative_iou, best_anchors, match_zero_iou: see `match`.

    Returns:
        as `match`.
    """
    shape = (ops.shape(gt_boxes)[0], ops.shape(boxes)[1])

    groups, is_there = _in_turns(gt_boxes), _in_turns(gt_valid)

    def iou_with(turn):
        iou = pairwise_iou(ops.take(groups, turn, axis=1), boxes)
        return ops.where(ops.take(is_there, turn, axis=1)[..., None], iou, -1.0)

    turns = _turns_with(gt_valid)
    return match(iou_with, turns, shape, positive_iou, negative_iou, best_anchors, match_zero_iou)


def ignore_crowds(labels: Tensor, boxes: Tensor, crowd_boxes: Tensor, overlap: float) -> Tensor:
    """Keeps boxes inside crowd regions from being negatives.

    Args:
        labels: int32 `[B, A]`.
        boxes: `[B, A, 4]` or `[1, A, 4]`.
        crowd_boxes: `[B, N, 4]`, padding without area.
        overlap: a negative with at least this share of its area inside one region is ignored
            (Detectron's `CROWD_FILTER_THRESH`, .7).

    Returns:
        int32 `[B, A]`.
    """
    # Some regions at a time, as in `match`.
    covered = ops.zeros((ops.shape(crowd_boxes)[0], ops.shape(boxes)[1]), "float32")
    groups = _in_turns(crowd_boxes)

    def step(turn, covered):
        share = pairwise_intersection_over_area(boxes, ops.take(groups, turn, axis=1))
        return turn + 1, ops.maximum(covered, ops.max(share, axis=2))

    most = ops.cast(_turns_with(crowd_boxes[..., 2] > crowd_boxes[..., 0]), "int32")
    _, covered = ops.while_loop(
        lambda turn, _: turn < most, step, (ops.convert_to_tensor(0, "int32"), covered)
    )
    is_negative = ops.cast(labels, "float32") == NEGATIVE
    return ops.where(is_negative & (covered >= overlap), IGNORED, labels)


def _in_turns(values: Tensor) -> Tensor:
    """`[B, N, ...]` as `[B, turns, K, ...]`, the last turn filled with zeros."""
    count = ops.shape(values)[1]
    spare = [(0, 0), (0, OBJECTS_PER_TURN - 1)] + [(0, 0)] * (len(values.shape) - 2)
    whole = (count + OBJECTS_PER_TURN - 1) // OBJECTS_PER_TURN * OBJECTS_PER_TURN
    filled = ops.pad(values, spare)[:, :whole]
    return ops.reshape(filled, (ops.shape(values)[0], -1, OBJECTS_PER_TURN, *values.shape[2:]))


def _turns_with(valid: Tensor) -> Tensor:
    """How many turns have valid objects, of bool `[B, N]` with the valid ones first: float32."""
    most = ops.max(ops.sum(ops.cast(valid, "float32"), axis=1))
    return ops.ceil(most / OBJECTS_PER_TURN)
