"""From mask probabilities on a small grid to pixels of the picture, in numpy.

Legend: `D` detections, `M` mask side, `h w` picture size in pixels.

The rule is the exact one on float boxes (detectron2 `paste_masks_in_image`, aligned): the pixel
centre `(x + .5, y + .5)` lies at `u = (x + .5 - x1) / (x2 - x1) * M - .5` on the grid, the value
there is bilinear with zeros outside the grid, and the pixel belongs to the object where the value
reaches the threshold. Bilinear interpolation is separable, so a mask is two small matrix products,
`Wy @ mask @ Wx.T`, over the few pixels that its box can reach.

torchvision cuts boxes to integers first and counts the last pixel in: its masks are up to two
pixels larger along each axis. Of the masks recorded of it (22,177 pixels), 1,339 pixels differ.

A pixel must not depend on who computes it (`ops/export_rle.py` draws the same masks in a TensorFlow
graph). A row of weights has two entries at most, and a float32 times a float32 is exact in float64:
so each product rounds once, whatever the order or the instructions of the matrix library.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_maskrcnn.outlines.rle import encode_crop

# Cells on either side of a grid, of which the pixels that it reaches may have a part.
_BEYOND = 2


def _axis_weights(start: float, end: float, side: int, length: int) -> tuple[int, np.ndarray]:
    """First pixel that the grid reaches along one axis, and `[pixels, M]` bilinear weights.

    The weights are float32 numbers, held in float64.
    """
    extent = end - start
    margin = extent / (2 * side)  # Half a cell: beyond it the grid counts as zero.
    first = int(max(0.0, np.floor(start - margin - 0.5)))
    last = int(min(float(length), np.ceil(end + margin + 0.5)))
    centres = np.arange(first, max(first, last)) + 0.5
    u = (centres - start) / extent * side - 0.5
    low = np.floor(u)
    fraction = (u - low).astype("float32")
    # Of the two cells around the pixel's centre either may lie beyond the grid.
    weights = np.zeros((len(u), side + 2 * _BEYOND))
    pixel, cell = np.arange(len(u)), np.clip(low, -_BEYOND, side).astype(int) + _BEYOND
    weights[pixel, cell] = 1 - fraction
    weights[pixel, cell + 1] = fraction
    return first, weights[:, _BEYOND:-_BEYOND]


def paste_crop(
    mask: np.ndarray, box: np.ndarray, image_size: tuple[int, int]
) -> tuple[int, int, np.ndarray]:
    """Resample one mask over the part of the picture that it can reach.

    Args:
        mask: float `[M, M]` probabilities on the box's grid.
        box: `[4]` x1 y1 x2 y2, pixels of the picture; it may reach outside.
        image_size: `(h, w)` of the picture.

    Returns:
        `(left, top, values)`: the pixel where the crop starts and its float32 values `[ch, cw]`.
        The crop has no pixels when the box is outside, without area or not finite.
    """
    x1, y1, x2, y2 = (float(v) for v in box)
    if not (np.isfinite([x1, y1, x2, y2]).all() and x2 > x1 and y2 > y1):
        return 0, 0, np.zeros((0, 0), "float32")
    mask = np.asarray(mask, "float32").astype("float64")
    top, rows = _axis_weights(y1, y2, mask.shape[0], image_size[0])
    left, columns = _axis_weights(x1, x2, mask.shape[1], image_size[1])
    across = (mask @ columns.T).astype("float32").astype("float64")
    return left, top, (rows @ across).astype("float32")


def paste_masks(
    masks: np.ndarray, boxes: np.ndarray, image_size: tuple[int, int], threshold: float = 0.5
) -> np.ndarray:
    """Paste the masks of one picture.

    Args:
        masks: float `[D, M, M]` probabilities.
        boxes: `[D, 4]` x1 y1 x2 y2, pixels of the picture.
        image_size: `(h, w)` of the picture.
        threshold: pixels of at least this value are set.

    Returns:
        bool `[D, h, w]`.

    Raises:
        ValueError: when shapes do not fit together, or `threshold` is not above 0.
    """
    check_paste_arguments(masks, boxes, threshold)
    pictures = np.zeros((len(masks), *image_size), bool)
    for picture, mask, box in zip(pictures, masks, boxes, strict=True):
        left, top, values = paste_crop(mask, box, image_size)
        height, width = values.shape
        picture[top : top + height, left : left + width] = values >= threshold
    return pictures


def paste_rle(
    mask: np.ndarray, box: np.ndarray, image_size: tuple[int, int], threshold: float = 0.5
) -> dict[str, Any]:
    """One pasted mask as a COCO compressed run-length encoding, without the full picture.

    Args:
        mask, box, image_size, threshold: as in `paste_masks`, for one object.

    Returns:
        `{"size": [h, w], "counts": str}`, as pycocotools and JSON take it.
    """
    left, top, values = paste_crop(mask, box, image_size)
    return encode_crop(values >= threshold, left, top, image_size).to_coco(*image_size)


def check_paste_arguments(masks: np.ndarray, boxes: np.ndarray, threshold: float) -> None:
    """Raise ValueError unless `masks [D, M, M]`, `boxes [D, 4]` and `threshold` fit."""
    if np.ndim(masks) != 3 or np.shape(boxes) != (len(masks), 4):
        raise ValueError(
            "masks must be [D, M, M] and boxes [D, 4] for the same D. "
            f"Received: masks of shape {np.shape(masks)}, boxes of shape {np.shape(boxes)}"
        )
    if not threshold > 0:
        raise ValueError(f"threshold must be above 0. Received: threshold={threshold}")
