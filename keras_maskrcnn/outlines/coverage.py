"""Which share of each cell of a grid an outline covers, without sampling error.

Legend: `M` grid side, `V` vertices of a loop, `E` edges.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Edges that are drawn at once. One edge may cross all lines of the grid, so this bounds the memory
# of a drawing, to 100 MB for a side of 112.
_EDGES = 4096


def loops_coverage(loops: Sequence[np.ndarray], box: Sequence[float], side: int) -> np.ndarray:
    """Coverage by what loops enclose, even-odd: exact signed areas, then the rule.

    Edges are split where they cross a grid line. A piece within one cell moves the winding
    number of all cells to its right by its height, and of its own cell by the part of that
    which lies right of the piece; a running sum along the row adds these up.

    Args:
        loops: arrays `[V, 2]` of x, y; each goes back from its last vertex to its first.
        box: `(x1, y1, x2, y2)` that the grid divides, of positive width and height.
        side: M.

    Returns:
        `[M, M]`, 0..1.
    """
    x1, y1, x2, y2 = box
    scale = np.array([side / (x2 - x1), side / (y2 - y1)])
    steps = np.zeros(side * (side + 1))
    for loop in loops:
        points = (loop - (x1, y1)) * scale
        delta = np.concatenate([points[1:], points[:1]]) - points
        for first in range(0, len(points), _EDGES):
            edges = slice(first, first + _EDGES)
            steps += _winding_steps(points[edges], delta[edges], side)
    winding = np.abs(np.cumsum(steps.reshape(side, side + 1)[:, :side], axis=1))
    if winding.max() > 1.0 + 1e-6:
        winding = 1.0 - np.abs(1.0 - winding % 2.0)
    return np.clip(winding, 0.0, 1.0, out=winding)


def cells_coverage(cells: np.ndarray, box: Sequence[float], side: int) -> np.ndarray:
    """Coverage by whole pixels, averaged over the grid's cells by exact area.

    Args:
        cells: `[h, w]`, 0 or 1; pixel (y, x) covers `[y, y + 1]` and `[x, x + 1]`.
        box: `(x1, y1, x2, y2)` in these pixels, within them, of positive width and height.
        side: M.

    Returns:
        `[M, M]`, 0..1.
    """
    x1, y1, x2, y2 = box
    return _averages(_averages(cells.T, x1, x2, side).T, y1, y2, side)


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
