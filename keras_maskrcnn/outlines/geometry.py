"""Matrices that move points, and lines that cut loops.

Legend: `V` vertices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def as_matrix(matrix: Any) -> np.ndarray:
    """float64 `[2, 3]` or `[3, 3]`; `ValueError` for another shape."""
    m = np.asarray(matrix, np.float64)
    if m.shape not in ((2, 3), (3, 3)):
        raise ValueError(f"matrix must be [2, 3] or [3, 3]. Received: matrix of shape {m.shape}")
    return m


def move_points(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Moves points.

    Args:
        points: `[..., 2]` x, y.
        matrix: `[2, 3]` (affine) or `[3, 3]` (perspective): from x, y, 1 to the new x, y.

    Returns:
        float64 `[..., 2]`. A mirrored x is exactly `width - x`: the sum is no matrix product, whose
        order of additions is the library's.

    Raises:
        ValueError: for a matrix of another shape, or points on or beyond the horizon of a
            perspective.
    """
    m = as_matrix(matrix)
    x, y = points[..., 0], points[..., 1]
    rows = [row[0] * x + row[1] * y + row[2] for row in m]
    moved = np.stack(rows[:2], axis=-1)
    if len(m) == 3:
        if np.any(rows[2] <= 0):
            raise ValueError(
                "matrix must keep what it moves on one side of its horizon (third row > 0). "
                f"Received: matrix={m.tolist()}"
            )
        moved /= rows[2][..., None]
    return moved


def signed_area(points: np.ndarray) -> float:
    """Of a loop `[V, 2]`: positive where it runs from x to y, clockwise as a picture is seen."""
    x, y = points.T
    return float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) / 2)


def cut_loops(loops: Sequence[np.ndarray], box: Sequence[float]) -> list[np.ndarray]:
    """What of loops lies within a box, such that winding numbers inside it are kept.

    So even-odd drawing within the box is that of the loops, also for concave ones, ones that cross
    themselves, and holes. A loop that leaves the box in several places falls into pieces.

    Args:
        loops: arrays `[V, 2]` of x, y.
        box: `(x1, y1, x2, y2)`.

    Returns:
        The pieces, without those that have no extent.
    """
    pieces = list(loops)
    for axis in (0, 1):
        for sign, limit in ((1.0, box[axis]), (-1.0, box[axis + 2])):
            pieces = [p for loop in pieces for p in _cut(loop, axis, limit, sign)]
    return [p for p in pieces if len(p) > 2 and np.ptp(p, axis=0).min() > 0]


def _cut(loop: np.ndarray, axis: int, limit: float, sign: float) -> list[np.ndarray]:
    """The pieces on one side of a line: where `sign * (coordinate - limit) > 0`."""
    distance = sign * (loop[:, axis] - limit)
    inside = distance > 0
    if inside.all():
        return [loop]
    if not inside.any():
        return []
    after = np.roll(np.arange(len(loop)), -1)
    exits = np.flatnonzero(inside & ~inside[after])
    entries = np.flatnonzero(~inside & inside[after])
    # Each entry with the exit that follows it round the loop.
    exits = np.roll(exits, -int(np.searchsorted(exits, entries[0])))

    def crossings(edges: np.ndarray) -> np.ndarray:
        start, end = edges, after[edges]
        time = (distance[start] / (distance[start] - distance[end]))[:, None]
        points = loop[start] + time * (loop[end] - loop[start])
        points = np.where((distance[end] == 0)[:, None], loop[end], points)
        points[:, axis] = limit
        return points

    come, go = crossings(entries), crossings(exits)
    following = _joined_along_line(come[:, 1 - axis], go[:, 1 - axis])
    chains = []
    for k, (first, last) in enumerate(zip(entries + 1, exits + 1, strict=True)):
        # Only the last chain can pass the end of the array, where it goes on at the start.
        middle = loop[first:last] if first < last else np.concatenate([loop[first:], loop[:last]])
        chains.append(np.concatenate([come[k : k + 1], middle, go[k : k + 1]]))
    pieces, left = [], set(range(len(chains)))
    while left:
        piece, chain = [], min(left)
        while chain in left:
            left.remove(chain)
            piece.append(chains[chain])
            chain = following[chain]
        pieces.append(np.concatenate(piece))
    return pieces


def _joined_along_line(come: np.ndarray, go: np.ndarray) -> list[int]:
    """For each chain, the one that it goes on with.

    An exit is joined to an entry, with nothing but as many of both between them: then all joints
    over one place of the line have the same direction, and none is walked back.

    Args:
        come, go: where on the line each chain begins and ends.
    """
    count = len(come)
    following = [0] * count
    waiting: list[int] = []
    for event in np.argsort(np.concatenate([come, go]), kind="stable").tolist():
        if not waiting or (waiting[-1] < count) == (event < count):
            waiting.append(event)
            continue
        other = waiting.pop()
        entry, exit_ = (event, other) if event < count else (other, event)
        following[exit_ - count] = entry
    return following
