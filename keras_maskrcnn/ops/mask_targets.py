"""Mask targets: each sampled RoI's view of its object's outline (Mask R-CNN section 3).

Both forms are separable, so a target is `Wy @ mask @ Wx^T`.
Legend: `P` RoIs with an object, `M` mask side, `h w` mask grid.
"""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any


def _area_weights(start: Tensor, end: Tensor, frame_start: Tensor, frame_end: Tensor, bins, cells):
    """Share of each bin of [start, end] that each cell of the frame covers: `[P, bins, cells]`."""
    cell = ops.maximum(frame_end - frame_start, 1e-6) / cells
    bin_size = ops.maximum(end - start, 1e-6) / bins
    index = ops.arange(bins, dtype="float32")
    # Differences first: a small box far from the origin would lose its digits.
    low = ((start - frame_start) / cell)[:, None] + index * (bin_size / cell)[:, None]
    high = low + (bin_size / cell)[:, None]
    edge = ops.arange(cells, dtype="float32")
    overlap = ops.minimum(high[..., None], edge + 1.0) - ops.maximum(low[..., None], edge)
    return ops.maximum(overlap, 0.0) / (bin_size / cell)[:, None, None]


def masks_from_crops(crops: Tensor, frames: Tensor, rois: Tensor, size: int) -> Tensor:
    """Targets from masks that are cropped to their own box.

    The crop is a piecewise constant picture; a target's value is its exact mean over the bin.

    Args:
        crops: `[P, h, w]` coverage in 0..1, each filling its frame.
        frames: float32 `[P, 4]` the boxes to which the masks were cropped.
        rois: float32 `[P, 4]`.
        size: `M`.

    Returns:
        float32 `[P, M, M]` in 0..1; 0 outside the frame.
    """
    h, w = crops.shape[1:3]
    wx = _area_weights(rois[:, 0], rois[:, 2], frames[:, 0], frames[:, 2], size, w)
    wy = _area_weights(rois[:, 1], rois[:, 3], frames[:, 1], frames[:, 3], size, h)
    return ops.matmul(ops.matmul(wy, ops.cast(crops, "float32")), ops.transpose(wx, (0, 2, 1)))


def _sample_weights(start: Tensor, end: Tensor, cells: Any, bins: int, aligned: bool) -> Tensor:
    """One axis of adaptive RoIAlign on a grid of unit cells: `[P, bins, cells]`."""
    if aligned:
        start, length = start - 0.5, end - start
    else:
        length = ops.maximum(end - start, 1.0)
    bin_size = length / bins
    samples = ops.maximum(ops.ceil(bin_size), 1.0)
    # Loop bound for the RoI with the most samples; others mask theirs.
    most = ops.cast(ops.max(ops.concatenate([samples, ops.ones((1,))])), "int32")
    left = start[:, None] + ops.arange(bins, dtype="float32") * bin_size[:, None]
    cell = ops.arange(cells, dtype="float32")
    limit = ops.cast(cells, "float32")

    def step(index, weights):
        position = left + (ops.cast(index, "float32") + 0.5) * (bin_size / samples)[:, None]
        inside = (position >= -1.0) & (position <= limit)
        inside = inside & (ops.cast(index, "float32") < samples[:, None])
        position = ops.clip(position, 0.0, limit - 1.0)
        hat = ops.maximum(1.0 - ops.abs(position[..., None] - cell), 0.0)
        return index + 1, weights + ops.where(inside[..., None], hat, 0.0)

    zeros = ops.zeros((ops.shape(start)[0], bins, cells), "float32")
    _, weights = ops.while_loop(
        lambda index, _: index < most, step, (ops.convert_to_tensor(0, "int32"), zeros)
    )
    return weights / samples[:, None, None]


def masks_from_pictures(masks: Tensor, rois: Tensor, size: int, aligned: bool = True) -> Tensor:
    """Targets from whole-picture masks, by adaptive RoIAlign.

    What torchvision (`aligned=False`) and detectron2 (`aligned=True`, then thresholded) compute.

    Args:
        masks: `[P, H, W]` coverage in 0..1, in the RoIs' pixels.
        rois: float32 `[P, 4]`.
        size: `M`.
        aligned: RoIAlign's half-pixel shift.

    Returns:
        float32 `[P, M, M]`.
    """
    h, w = ops.shape(masks)[1], ops.shape(masks)[2]
    wx = _sample_weights(rois[:, 0], rois[:, 2], w, size, aligned)
    wy = _sample_weights(rois[:, 1], rois[:, 3], h, size, aligned)
    return ops.matmul(ops.matmul(wy, ops.cast(masks, "float32")), ops.transpose(wx, (0, 2, 1)))


def keypoint_targets(keypoints: Tensor, rois: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The heat-map cell of each keypoint (Mask R-CNN section 5).

    Args:
        keypoints: float32 `[P, J, 3]` x, y, visibility (0 not labelled).
        rois: float32 `[P, 4]`.
        size: `M` side of the heat map (56).

    Returns:
        cell int32 `[P, J]` in 0..M*M-1, and bool `[P, J]`: labelled and inside the RoI.
    """
    x1, y1, x2, y2 = (rois[:, None, i] for i in range(4))
    x, y, visibility = (keypoints[..., i] for i in range(3))
    column = ops.floor((x - x1) * (size / ops.maximum(x2 - x1, 1e-6)))
    row = ops.floor((y - y1) * (size / ops.maximum(y2 - y1, 1e-6)))
    # A point exactly on the far border belongs to the last cell.
    column = ops.where(x == x2, size - 1.0, column)
    row = ops.where(y == y2, size - 1.0, row)
    inside = (column >= 0) & (row >= 0) & (column < size) & (row < size)
    valid = inside & (visibility > 0)
    cell = ops.cast(row * size + column, "int32")
    return ops.where(valid, cell, 0), valid
