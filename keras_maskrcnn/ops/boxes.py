"""Box geometry: areas, overlaps, coding, clipping, pyramid levels.

Boxes are float32 `[x1, y1, x2, y2]` in continuous pixels, width `x2 - x1`.
Legend: `A` anchors, `R` proposals, `N` ground-truth objects; `...` any leading axes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import ops

Tensor = Any

# Largest log-scale change that a delta may ask for: an object 1000 / 16 times its anchor
# (detectron2 and torchvision; keeps exp() finite early in training).
DELTA_CLAMP = math.log(1000.0 / 16.0)

# An array: a tensor would belong to whichever graph was being traced.
_LAST_PIXEL = np.array((0.0, 0.0, 1.0, 1.0), "float32")


def box_area(boxes: Tensor) -> Tensor:
    """Areas `[...]` of boxes `[..., 4]`; inverted boxes have area 0."""
    size = ops.maximum(boxes[..., 2:] - boxes[..., :2], 0.0)
    return size[..., 0] * size[..., 1]


def pairwise_intersection(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Intersection areas `[..., n, m]` of boxes `[..., n, 4]` and `[..., m, 4]`."""
    # Not one slice with a new axis, which LiteRT does not know within a loop.
    x1, y1, x2, y2 = (ops.expand_dims(boxes1[..., i], -1) for i in range(4))
    u1, v1, u2, v2 = (ops.expand_dims(boxes2[..., i], -2) for i in range(4))
    width = ops.maximum(ops.minimum(x2, u2) - ops.maximum(x1, u1), 0.0)
    height = ops.maximum(ops.minimum(y2, v2) - ops.maximum(y1, v1), 0.0)
    return width * height


def pairwise_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Intersection over union `[..., n, m]`; 0 for two boxes without area."""
    intersection = pairwise_intersection(boxes1, boxes2)
    areas = ops.expand_dims(box_area(boxes1), -1), ops.expand_dims(box_area(boxes2), -2)
    union = areas[0] + areas[1] - intersection
    return intersection / ops.where(union > 0.0, union, 1.0)


def pairwise_intersection_over_area(boxes: Tensor, regions: Tensor) -> Tensor:
    """Share of each box `[..., n, 4]` that lies in each region `[..., m, 4]`: `[..., n, m]`.

    The measure by which COCO ignores what falls into a crowd region.
    """
    area = box_area(boxes)[..., :, None]
    return pairwise_intersection(boxes, regions) / ops.where(area > 0.0, area, 1.0)


def _centres_and_sizes(boxes: Tensor) -> tuple[Tensor, Tensor]:
    sizes = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + 0.5 * sizes, sizes


def encode_boxes(boxes: Tensor, anchors: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Deltas that turn anchors into boxes (Faster R-CNN, equation 2).

    Args:
        boxes: `[..., 4]` targets.
        anchors: `[..., 4]` what the deltas refer to: anchors or proposals.
        weights: scale of dx, dy, dw, dh.

    Returns:
        `[..., 4]` deltas; 0 where either box has no extent (padding).
    """
    centres, sizes = _centres_and_sizes(boxes)
    anchor_centres, anchor_sizes = _centres_and_sizes(anchors)
    valid = ops.all((sizes > 0.0) & (anchor_sizes > 0.0), axis=-1, keepdims=True)
    sizes = ops.where(valid, sizes, 1.0)
    anchor_sizes = ops.where(valid, anchor_sizes, 1.0)
    shift = (centres - anchor_centres) / anchor_sizes
    scale = ops.log(sizes / anchor_sizes)
    deltas = ops.concatenate([shift, scale], axis=-1) * ops.convert_to_tensor(weights, "float32")
    return ops.where(valid, deltas, 0.0)


def decode_boxes(deltas: Tensor, anchors: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Inverse of `encode_boxes`, with the scale clamped at `DELTA_CLAMP`.

    Args:
        deltas: `[..., 4]`.
        anchors: `[..., 4]`, broadcast against `deltas`.
        weights: scale of dx, dy, dw, dh.

    Returns:
        `[..., 4]` boxes.
    """
    deltas = deltas / ops.convert_to_tensor(weights, "float32")
    anchor_centres, anchor_sizes = _centres_and_sizes(anchors)
    centres = deltas[..., :2] * anchor_sizes + anchor_centres
    half = 0.5 * ops.exp(ops.minimum(deltas[..., 2:], DELTA_CLAMP)) * anchor_sizes
    return ops.concatenate([centres - half, centres + half], axis=-1)


def clip_boxes(boxes: Tensor, image_sizes: Tensor) -> Tensor:
    """Moves box corners into the picture.

    Args:
        boxes: `[B, ..., 4]`.
        image_sizes: `[B, 2]` height and width of each picture's valid area.

    Returns:
        `[B, ..., 4]`.
    """
    sizes = ops.cast(image_sizes, boxes.dtype)
    limits = ops.stack([sizes[:, 1], sizes[:, 0], sizes[:, 1], sizes[:, 0]], axis=-1)
    limits = ops.reshape(limits, (-1, *([1] * (len(boxes.shape) - 2)), 4))
    return ops.minimum(ops.maximum(boxes, 0.0), limits)


def end_on_last_pixel(boxes: Tensor) -> Tensor:
    """Boxes `[..., 4]` whose far corner is the last pixel's index rather than the edge after it."""
    return boxes - _LAST_PIXEL


def end_after_last_pixel(boxes: Tensor) -> Tensor:
    """Inverse of `end_on_last_pixel`: back to continuous boxes."""
    return boxes + _LAST_PIXEL


def assign_levels(
    boxes: Tensor,
    min_level: int = 2,
    max_level: int = 5,
    canonical_size: float = 224.0,
    canonical_level: int = 4,
    eps: float = 1e-6,
) -> Tensor:
    """Pyramid level of each RoI (FPN, Lin et al. 2017, equation 1).

    Args:
        boxes: `[..., 4]`.
        min_level, max_level: the pyramid's range.
        canonical_size, canonical_level: a RoI of that side belongs to that level.
        eps: added to the logarithm, so that an exact power of two is not lost to rounding
            (torchvision; detectron2 adds 1e-8 to the side instead).

    Returns:
        int32 `[...]`, 0 for `min_level`.
    """
    side = ops.sqrt(ops.maximum(box_area(boxes), 1e-12))
    level = ops.floor(canonical_level + ops.log2(side / canonical_size) + eps)
    # Subtracted as floats: int32 arithmetic is done on the host, even where there is a GPU.
    return ops.cast(ops.clip(level, min_level, max_level) - min_level, "int32")
