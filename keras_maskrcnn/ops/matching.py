"""Which object does an anchor or proposal stand for?

Legend: `B` images, `A` anchors or proposals, `N` ground-truth objects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_maskrcnn.ops.boxes import pairwise_intersection_over_area, pairwise_iou

Tensor = Any

POSITIVE, NEGATIVE, IGNORED = 1, 0, -1


def match(
    iou_with: Callable[[Tensor], Tensor],
    num_objects: Tensor,
    shape: tuple[Any, Any],
    positive_iou: float,
    negative_iou: float,
    best_anchors: bool = False,
    match_zero_iou: bool = False,
) -> tuple[Tensor, Tensor]:
    """Assigns each box its best object and a label, one object at a time.

    Memory is `O(B A)`, not `O(B A N)`: pictures with hundreds of objects have millions of anchors.

    Args:
        iou_with: maps an object's index (scalar int32) to its IoU with every box, `[B, A]`; -1
            where the object is padding.
        num_objects: `N`, or the largest number of valid objects in the batch.
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
    def step(index, best_iou, best_object, is_best):
        iou = iou_with(index)
        better = iou > best_iou
        best_object = ops.where(better, ops.cast(index, "float32"), best_object)
        best_iou = ops.where(better, iou, best_iou)
        if best_anchors:
            top = ops.max(iou, axis=1, keepdims=True)
            reachable = top >= 0.0 if match_zero_iou else top > 0.0
            is_best = is_best | (reachable & (iou == top))
        return index + 1, best_iou, best_object, is_best

    num_objects = ops.cast(num_objects, "int32")
    _, best_iou, best_object, is_best = ops.while_loop(
        lambda index, *_: index < num_objects,
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

    def iou_with(index):
        iou = pairwise_iou(boxes, ops.take(gt_boxes, index, axis=1)[:, None])[..., 0]
        return ops.where(ops.take(gt_valid, index, axis=1)[:, None], iou, -1.0)

    most = ops.max(ops.sum(ops.cast(gt_valid, "float32"), axis=1))
    return match(iou_with, most, shape, positive_iou, negative_iou, best_anchors, match_zero_iou)


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
    # One region at a time, as in `match`: memory stays O(B A).
    covered = ops.zeros((ops.shape(crowd_boxes)[0], ops.shape(boxes)[1]), "float32")

    def step(index, covered):
        region = ops.take(crowd_boxes, index, axis=1)[:, None]
        share = pairwise_intersection_over_area(boxes, region)[..., 0]
        return index + 1, ops.maximum(covered, share)

    present = crowd_boxes[..., 2] > crowd_boxes[..., 0]
    most = ops.cast(ops.max(ops.sum(ops.cast(present, "float32"), axis=1)), "int32")
    _, covered = ops.while_loop(
        lambda index, _: index < most, step, (ops.convert_to_tensor(0, "int32"), covered)
    )
    is_negative = ops.cast(labels, "float32") == NEGATIVE
    return ops.where(is_negative & (covered >= overlap), IGNORED, labels)
