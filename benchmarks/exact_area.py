"""Area of polygons within the cells of a grid, exact but for float64's rounding.

Made to judge what the library draws, so it shares nothing with it: the plane is cut into bands
between which no two edges cross, and an edge's part in a band is integrated in closed form.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np


def coverage(polygons: Sequence[np.ndarray], box: Sequence[float], side: int) -> np.ndarray:
    """Share of each cell of a box's grid that polygons cover.

    Args:
        polygons: `[V, 2]` x, y each; their union counts, within one polygon the even-odd rule.
        box: `(x1, y1, x2, y2)`.
        side: `M` cells along each axis.

    Returns:
        float64 `[M, M]`, 0..1.
    """
    x1, y1, x2, y2 = (float(v) for v in box)
    scale = np.array([side / (x2 - x1), side / (y2 - y1)])
    points = [(np.asarray(p, "float64") - (x1, y1)) * scale for p in polygons]
    start = np.concatenate(points)
    end = np.concatenate([np.roll(p, -1, axis=0) for p in points])
    owner = np.repeat(np.arange(len(points)), [len(p) for p in points])
    sloped = start[:, 1] != end[:, 1]
    start, end, owner = start[sloped], end[sloped], owner[sloped]
    top, bottom = np.minimum(start[:, 1], end[:, 1]), np.maximum(start[:, 1], end[:, 1])
    near = (bottom > 0) & (top < side)
    start, end, owner, top, bottom = (v[near] for v in (start, end, owner, top, bottom))
    slope = (end[:, 0] - start[:, 0]) / (end[:, 1] - start[:, 1])

    def x_at(edges: np.ndarray, y: float) -> np.ndarray:
        return start[edges, 0] + slope[edges] * (y - start[edges, 1])

    heights = np.concatenate([top, bottom, _crossings(start, slope, top, bottom)])
    heights = np.unique(np.concatenate([np.clip(heights, 0, side), np.arange(side + 1.0)]))
    area = np.zeros((side, side))
    for low, high in itertools.pairwise(heights):
        middle = 0.5 * (low + high)
        edges = np.flatnonzero((top <= middle) & (bottom > middle))
        if len(edges) == 0:
            continue
        edges = edges[np.argsort(x_at(edges, middle))]
        signs = _union_borders(owner[edges])
        border = np.flatnonzero(signs)
        columns = _area_right_of_edges(
            x_at(edges[border], low), x_at(edges[border], high), high - low, side
        )
        area[min(int(middle), side - 1)] += signs[border] @ columns
    return area


def _crossings(
    start: np.ndarray, slope: np.ndarray, top: np.ndarray, bottom: np.ndarray
) -> np.ndarray:
    """Heights at which two edges cross."""
    offset = start[:, 0] - slope * start[:, 1]  # x = offset + slope * y
    with np.errstate(divide="ignore", invalid="ignore"):
        y = (offset[None] - offset[:, None]) / (slope[:, None] - slope[None])
    common = (y > np.maximum(top[:, None], top)) & (y < np.minimum(bottom[:, None], bottom))
    return y[np.triu(common & np.isfinite(y), 1)]


def _union_borders(owners: np.ndarray) -> np.ndarray:
    """For edges from left to right: 1 where the union begins, -1 where it ends, else 0."""
    inside: set[int] = set()
    signs = np.zeros(len(owners))
    for i, owner in enumerate(owners.tolist()):
        before = bool(inside)
        inside ^= {owner}
        signs[i] = bool(inside) - before
    return signs


def _area_right_of_edges(low: np.ndarray, high: np.ndarray, height: float, side: int) -> np.ndarray:
    """Area of each cell of a row to the right of an edge that goes from x `low` to `high`.

    Args:
        low, high: `[E]`.
        height: of the band.
        side: `M`.

    Returns:
        `[E, M]`.
    """
    cell = np.arange(side)
    a, b = low[:, None] - cell, high[:, None] - cell

    def integral(t: np.ndarray) -> np.ndarray:
        """Of the share of a cell that is left of `t`."""
        inner = np.clip(t, 0.0, 1.0)
        return 0.5 * inner**2 + np.maximum(t - 1.0, 0.0)

    steep = np.abs(b - a) < 1e-9
    mean = (integral(b) - integral(a)) / np.where(steep, 1.0, b - a)
    left = np.where(steep, np.clip(0.5 * (a + b), 0.0, 1.0), mean)
    return (1.0 - left) * height
