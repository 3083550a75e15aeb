"""Pixels of a picture that a matrix moves: bilinear, and averaged where it shrinks.

As Pillow's, with which detectron2 resizes: a pixel is a square with its value at the centre, and a
picture that shrinks is averaged over all that becomes one pixel. Pixels whose centre comes from
beyond the picture are filled. Legend: `H W` pixels of a picture, `C` channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from keras_maskrcnn.outlines.geometry import as_matrix, move_points
from keras_maskrcnn.outlines.raster import turn_cells

Fill = float | Sequence[float] | str

# ImageNet's mean, RGB, as whole numbers: what a model that normalises by it takes as nearly zero.
MEAN_PIXEL = (124, 116, 104)

_BILINEAR = Image.Resampling.BILINEAR
# Borders of pixels may be missed by this much: a matrix is a product of rounded numbers.
_ROUNDING = 1e-6


def resample(
    image: np.ndarray, matrix: np.ndarray, size: tuple[int, int], fill: Fill = "mean"
) -> np.ndarray:
    """The picture after a move, resampled once.

    What only flips, turns and cuts keeps its very values. Where axes stay axes, only what will be
    seen is resized, with the weights that it has when the whole picture is (they are float32: some
    values differ by 1). Of other moves, a picture that shrinks to less than half is first resized
    to twice of what it will be.

    Args:
        image: uint8 or float32 `[H, W, C]`.
        matrix: from x, y, 1 to the new x, y: `[2, 3]`, or `[3, 3]` with all of the picture on one
            side of the horizon.
        size: height and width of the new picture.
        fill: 0..255, or such a number for each channel: what lies beyond the picture. `"mean"`:
            ImageNet's of RGB, with any other number of channels the picture's own.

    Returns:
        `[*size, C]` of the same type. Pixels of type uint8 are rounded where the picture is
        resized, and cut to whole numbers (Pillow's way) by other moves.

    Raises:
        ValueError: for a matrix of another shape, or a `fill` that has not C numbers.
    """
    colour = _colour(fill, image)
    m = as_matrix(matrix)
    m = np.vstack([m, [0.0, 0.0, 1.0]]) if len(m) == 2 else m / m[2, 2]
    return (_stretched if keeps_axes(m) else _warped)(image, m, size, colour)


def keeps_axes(matrix: np.ndarray) -> bool:
    """Whether a move by a matrix `[3, 3]` leaves axes axes, each for itself or exchanged."""
    is_affine = matrix[2].tolist() == [0, 0, 1]
    return is_affine and bool(
        matrix[0, 1] == matrix[1, 0] == 0 or matrix[0, 0] == matrix[1, 1] == 0
    )


def _colour(fill: Fill, image: np.ndarray) -> np.ndarray:
    """`[C]`, of the picture's type."""
    if fill == "mean":
        # Of columns first: over long rows, sums of each channel are several times faster.
        is_rgb = image.shape[2] == len(MEAN_PIXEL)
        fill = MEAN_PIXEL if is_rgb else image.mean(axis=0, dtype=np.float64).mean(axis=0).tolist()
    values, channels = np.ravel(np.asarray(fill, np.float64)), image.shape[2]
    if len(values) not in (1, channels):
        raise ValueError(f"fill must be a number or {channels} of them. Received: fill={fill!r}")
    values = np.broadcast_to(values, channels)
    return (np.round(values) if image.dtype == np.uint8 else values).astype(image.dtype)


def _stretched(
    image: np.ndarray, matrix: np.ndarray, size: tuple[int, int], colour: np.ndarray
) -> np.ndarray:
    """By a matrix that keeps axes: turned, cut to what is seen, resized, and put in its place."""
    height, width = image.shape[:2]
    corners = move_points(np.array([[0.0, 0.0], [width, height]]), matrix)
    image = turn_cells(image.transpose(2, 0, 1), np.sign(matrix[:2, :2])).transpose(1, 2, 0)
    rows, source_rows = _seen(corners[:, 1], size[0], image.shape[0])
    columns, source_columns = _seen(corners[:, 0], size[1], image.shape[1])
    new_size = rows.stop - rows.start, columns.stop - columns.start
    if min(new_size) < 1:
        return np.broadcast_to(colour, (*size, len(colour)))
    patch = _resized(image, new_size, source_rows, source_columns)
    if new_size == size:
        return patch
    canvas = np.empty((*size, len(colour)), image.dtype)
    canvas[rows, columns] = patch
    for beyond in (
        canvas[: rows.start],
        canvas[rows.stop :],
        canvas[rows, : columns.start],
        canvas[rows, columns.stop :],
    ):
        beyond[:] = colour
    return canvas


def _seen(ends: np.ndarray, new: int, old: int) -> tuple[slice, tuple[float, float]]:
    """Which new pixels of an axis lie on the picture, and which part of the old they show.

    Args:
        ends: where the ends of the old axis come to lie.
        new, old: pixels of the axis.
    """
    low, high = float(ends.min()), float(ends.max())
    first = max(0, math.ceil(low - _ROUNDING))
    last = min(new, math.floor(high + _ROUNDING))
    scale = old / (high - low)
    return slice(first, last), (max((first - low) * scale, 0.0), min((last - low) * scale, old))


def _resized(
    image: np.ndarray,
    size: tuple[int, int],
    rows: tuple[float, float],
    columns: tuple[float, float],
) -> np.ndarray:
    """A part of a picture at another size; a view where the size stays."""
    whole = [round(v) for v in (*rows, *columns)]
    is_whole = np.allclose(whole, [*rows, *columns], rtol=0, atol=_ROUNDING)
    if is_whole and (whole[1] - whole[0], whole[3] - whole[2]) == size:
        return image[whole[0] : whole[1], whole[2] : whole[3]]
    spans = zip((rows, columns), size, image.shape[:2], strict=True)
    (top, bottom), (left, right) = (_reached(ends, new, old) for ends, new, old in spans)
    # Pillow copies all that it is given.
    if 2 * (bottom - top) * (right - left) < image.shape[0] * image.shape[1]:
        image = image[top:bottom, left:right]
    else:
        top = left = 0
    box = (columns[0] - left, rows[0] - top, columns[1] - left, rows[1] - top)
    return _by_pillow(image, lambda picture, _: picture.resize(size[::-1], _BILINEAR, box=box))


def _reached(ends: tuple[float, float], new: int, old: int) -> tuple[int, int]:
    """The first and last pixel of an axis that have a part in what is resized."""
    support = max((ends[1] - ends[0]) / new, 1.0) + 1
    return max(0, math.floor(ends[0] - support)), min(old, math.ceil(ends[1] + support))


def _warped(
    image: np.ndarray, matrix: np.ndarray, size: tuple[int, int], colour: np.ndarray
) -> np.ndarray:
    height, width = image.shape[:2]
    scale = 2 * _largest_scale(matrix, height, width)
    if scale < 1:
        small = max(1, math.ceil(height * scale)), max(1, math.ceil(width * scale))
        image = _resized(image, small, (0.0, height), (0.0, width))
        matrix = matrix @ np.diag([width / small[1], height / small[0], 1.0])
    back = np.linalg.inv(matrix)
    if back[2].tolist() == [0, 0, 1]:
        method, numbers = Image.Transform.AFFINE, back[:2].ravel()
    else:
        method, numbers = Image.Transform.PERSPECTIVE, (back / back[2, 2]).ravel()[:8]
    data = numbers.tolist()
    return _by_pillow(
        image,
        lambda picture, fill: picture.transform(
            size[::-1], method, data, _BILINEAR, fillcolor=fill
        ),
        colour,
    )


def _largest_scale(matrix: np.ndarray, height: int, width: int) -> float:
    """By which the matrix stretches lengths most, in any direction, at a corner of the picture."""
    scales = []
    for x, y in ((0, 0), (width, 0), (width, height), (0, height)):
        u, v, w = matrix @ (x, y, 1.0)
        slopes = (matrix[:2, :2] - np.outer((u / w, v / w), matrix[2, :2])) / w
        scales.append(float(np.linalg.norm(slopes, 2)))
    return max(scales)


def _by_pillow(
    image: np.ndarray,
    change: Callable[[Image.Image, Any], Image.Image],
    colour: np.ndarray | None = None,
) -> np.ndarray:
    """Three channels of bytes at once; others, for which Pillow has no type, one by one."""
    channels = image.shape[2]
    colours = [0] * channels if colour is None else colour.tolist()
    if image.dtype == np.uint8 and channels == 3:
        return np.asarray(change(Image.fromarray(np.ascontiguousarray(image)), tuple(colours)))
    bands = (Image.fromarray(np.ascontiguousarray(image[..., c])) for c in range(channels))
    return np.stack(
        [np.asarray(change(band, fill)) for band, fill in zip(bands, colours, strict=True)], axis=-1
    )
