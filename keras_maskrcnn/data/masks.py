"""Draws an object's outline straight into the grid of its own box; or, if asked to, the picture's.

Legend: `M` mask side, `V` vertices of a polygon, `E` edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

MASK_SIDE = 112
# Edges that are drawn at once. One edge may cross all lines of the grid, so this bounds the memory
# of a drawing, to 100 MB for the default side.
_EDGES = 4096
# Characters of one compressed run length: more than an int64 holds are an error in the string.
_COUNT_LENGTH = 12


def draw_mask(
    segmentation: Sequence[Any] | dict[str, Any],
    box: Sequence[float],
    side: int = MASK_SIDE,
) -> np.ndarray:
    """Draws an object's mask, cropped to its box.

    Cell (i, j) of the result covers the part of the picture between
    `y1 + i * (y2 - y1) / M` and `y1 + (i + 1) * (y2 - y1) / M`, likewise in x; its value is the
    share of that area which the object covers, without sampling error.

    Args:
        segmentation: list of polygons `[x, y, x, y, ...]` (their union counts; within one
            polygon the even-odd rule holds, as in the COCO tools), or a COCO RLE dict.
        box: `(x1, y1, x2, y2)` in the same pixels, of positive width and height.
        side: M.

    Returns:
        uint8 `[M, M]`: coverage 0..255.
    """
    if isinstance(segmentation, dict):
        coverage = _rle_coverage(segmentation, box, side)
    else:
        x1, y1, x2, y2 = box
        scale = np.array([side / (x2 - x1), side / (y2 - y1)])
        coverage = np.zeros((side, side))
        for polygon in segmentation:
            points = np.asarray(polygon, np.float64).reshape(-1, 2)
            coverage += _polygon_coverage((points - (x1, y1)) * scale, side)
        if len(segmentation) > 1:
            np.minimum(coverage, 1.0, out=coverage)
    return (coverage * 255.0 + 0.5).astype(np.uint8)


def draw_whole_mask(
    segmentation: Sequence[Any] | dict[str, Any], height: int, width: int
) -> np.ndarray:
    """Draws an object's mask in the whole picture, pixel by pixel as the COCO tools do.

    Args:
        segmentation: as for `draw_mask`.
        height: of the picture.
        width: of the picture.

    Returns:
        uint8 `[height, width]`: 255 inside, else 0.
    """
    rles = segmentation
    if not isinstance(segmentation, dict) or isinstance(segmentation["counts"], list):
        rles = coco_mask.frPyObjects(segmentation, height, width)
    rle = coco_mask.merge(rles) if isinstance(rles, list) else rles
    return coco_mask.decode(rle) * np.uint8(255)


def decode_counts(counts: Sequence[int] | str | bytes) -> np.ndarray:
    """Decodes the run lengths of a COCO RLE.

    Args:
        counts: a list of run lengths, or COCO's compressed string: 6 bits per character from
            ASCII 48, of which 5 hold the value (lowest first) and one says that it goes on;
            from the fourth on, a value is the difference to the last but one.

    Returns:
        int64 `[n]`: run lengths, column by column, beginning with background.

    Raises:
        ValueError: if the string is cut off, has foreign characters or a run of more than 60 bits.
    """
    if not isinstance(counts, (str, bytes)):
        return np.asarray(counts, np.int64).reshape(-1)
    text = counts.encode() if isinstance(counts, str) else counts
    codes = np.frombuffer(text, np.uint8).astype(np.int64) - 48
    if codes.size == 0:
        return codes
    last = np.flatnonzero((codes & 32) == 0)
    first = np.concatenate([[0], last[:-1] + 1])[: len(last)]
    length = last - first + 1
    is_complete = codes.min() >= 0 and codes.max() <= 63 and not codes[-1] & 32
    if not is_complete or length.max() > _COUNT_LENGTH:
        raise ValueError(
            f"Expected a complete compressed RLE. Received: counts={counts[:60]!r} of "
            f"{len(counts)} characters"
        )
    place = 5 * (np.arange(codes.size) - np.repeat(first, length))
    values = np.add.reduceat((codes & 31) << place, first)
    values -= np.where(codes[last] & 16, np.int64(1) << (5 * length), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def _polygon_coverage(points: np.ndarray, side: int) -> np.ndarray:
    """Share of each grid cell that a polygon covers: exact signed areas, then even-odd.

    Edges are split where they cross a grid line. A piece within one cell moves the winding
    number of all cells to its right by its height, and of its own cell by the part of that
    which lies right of the piece; a running sum along the row adds these up.

    Args:
        points: `[V, 2]` x, y in cells.

    Returns:
        `[M, M]`, 0..1.
    """
    delta = np.concatenate([points[1:], points[:1]]) - points
    steps = np.zeros(side * (side + 1))
    for first in range(0, len(points), _EDGES):
        edges = slice(first, first + _EDGES)
        steps += _winding_steps(points[edges], delta[edges], side)
    winding = np.abs(np.cumsum(steps.reshape(side, side + 1)[:, :side], axis=1))
    if winding.max() > 1.0 + 1e-6:
        winding = 1.0 - np.abs(1.0 - winding % 2.0)
    return np.clip(winding, 0.0, 1.0, out=winding)


def _winding_steps(start: np.ndarray, delta: np.ndarray, side: int) -> np.ndarray:
    """What edges add to the winding numbers: `[M * (M + 1)]`, to be summed along each row.

    Args:
        start: `[E, 2]` x, y in cells.
        delta: `[E, 2]` from start to end.
    """
    edge_parts, time_parts = [np.arange(len(start))], [np.zeros(len(start))]
    for axis in (0, 1):
        edge, time = _crossings(start[:, axis], delta[:, axis], side)
        edge_parts.append(edge)
        time_parts.append(time)
    edge, time = np.concatenate(edge_parts), np.concatenate(time_parts)
    order = np.argsort(edge + time)
    edge, time = edge[order], time[order]
    until = np.append(time[1:], 0.0)
    until[np.append(edge[1:] != edge[:-1], True)] = 1.0

    height = delta[edge, 1] * (until - time)
    middle = start[edge] + delta[edge] * (0.5 * (time + until))[:, None]
    middle_x = np.maximum(middle[:, 0], 0.0)  # left of the grid: all cells are to the right
    column, row = middle_x.astype(np.int64), np.floor(middle[:, 1]).astype(np.int64)
    inside = (row >= 0) & (row < side) & (column < side)
    column, height = column[inside], height[inside]
    right = height * (middle_x[inside] - column)
    cell = row[inside] * (side + 1) + column
    return np.bincount(
        np.concatenate([cell, cell + 1]),
        weights=np.concatenate([height - right, right]),
        minlength=side * (side + 1),
    )


def _crossings(start: np.ndarray, delta: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Where edges cross the lines 0..M of one axis: edge numbers, and times in (0, 1)."""
    end = start + delta
    low = np.maximum(np.floor(np.minimum(start, end)) + 1.0, 0.0)
    high = np.minimum(np.ceil(np.maximum(start, end)) - 1.0, float(side))
    count = np.maximum(high - low + 1.0, 0.0).astype(np.int64)
    edge = np.repeat(np.arange(len(start)), count)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    time = (low[edge] + step - start[edge]) / delta[edge]
    # Edge number + time is the sort key: keep it clear of the next edge's.
    return edge, np.clip(time, 0.0, 1.0 - 1e-9)


def _rle_coverage(rle: dict[str, Any], box: Sequence[float], side: int) -> np.ndarray:
    """Decodes the columns within the box and averages pixels over cells by exact area."""
    height = int(rle["size"][0])
    x1, y1, x2, y2 = box
    left, right = int(np.floor(x1)), int(np.ceil(x2))
    top, bottom = int(np.floor(y1)), int(np.ceil(y2))
    ends = np.clip(np.cumsum(decode_counts(rle["counts"])), left * height, right * height)
    lengths = np.diff(ends, prepend=left * height)
    values = (np.arange(len(lengths)) & 1).astype(np.float32)
    columns = np.repeat(values, lengths).reshape(right - left, height)[:, top:bottom]
    return _averages(_averages(columns, x1 - left, x2 - left, side).T, y1 - top, y2 - top, side)


def _averages(pixels: np.ndarray, low: float, high: float, side: int) -> np.ndarray:
    """Averages over M equal cells of `[low, high]` along the first axis, by exact overlap.

    Args:
        pixels: `[n, m]`; pixel i covers `[i, i + 1]`.

    Returns:
        `[M, m]`.
    """
    sums = np.zeros((len(pixels) + 1, pixels.shape[1]))
    np.cumsum(pixels, axis=0, out=sums[1:])
    borders = low + np.arange(side + 1) * ((high - low) / side)
    whole = np.minimum(borders.astype(np.int64), len(pixels) - 1)
    sums_at_borders = sums[whole] + (borders - whole)[:, None] * pixels[whole]
    return (sums_at_borders[1:] - sums_at_borders[:-1]) * (side / (high - low))
