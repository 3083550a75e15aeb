"""Shapes that annotation tools draw, as polygons `[x, y, x, y, ...]`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from keras_maskrcnn.data.formats.problems import ItemError

# A circle's polygon leaves it by at most this many pixels.
_DEVIATION = 0.02
_MOST_CORNERS = 720
# A circle that is larger could not be drawn.
_LONGEST_RADIUS = 1e6


def rectangle(x1: float, y1: float, x2: float, y2: float, degrees: float = 0.0) -> list[float]:
    """A rectangle by any two opposite corners, turned clockwise about its centre."""
    corners = [x1, y1, x2, y1, x2, y2, x1, y2]
    return turned(corners, degrees, (x1 + x2) / 2, (y1 + y2) / 2) if degrees else corners


def ellipse(x: float, y: float, rx: float, ry: float, degrees: float = 0.0) -> list[float]:
    """An ellipse by centre and radii, turned clockwise.

    Raises:
        ItemError: if a radius is not positive, or larger than any picture.
    """
    radius = max(rx, ry)
    if not (min(rx, ry) > 0 and radius <= _LONGEST_RADIUS):
        raise ItemError("radius is not positive, or too large", f" ({rx}, {ry})")
    # Between two corners, a circle leaves their chord by r (1 - cos(pi / n)).
    inner = max(1.0 - _DEVIATION / radius, 0.0)
    count = min(max(16, math.ceil(math.pi / math.acos(inner))), _MOST_CORNERS)
    points: list[float] = []
    for step in range(count):
        angle = 2 * math.pi * step / count
        points += [x + rx * math.cos(angle), y + ry * math.sin(angle)]
    return turned(points, degrees, x, y) if degrees else points


def turned(points: Sequence[float], degrees: float, x: float, y: float) -> list[float]:
    """Points turned about `x, y`: clockwise as seen, since y grows downwards."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    result: list[float] = []
    for px, py in zip(points[::2], points[1::2], strict=True):
        dx, dy = px - x, py - y
        result += [x + dx * cos - dy * sin, y + dx * sin + dy * cos]
    return result


def with_holes(outer: list[float], holes: Sequence[list[float]]) -> list[float]:
    """One polygon of an outline and the outlines of its holes.

    They are joined by bridges of no width, walked to and fro, so that by the even-odd rule, and
    by its signed area, what is inside is exactly the outline without the holes.
    """
    points = list(outer)
    side = _signed_area(outer)
    for hole in holes:
        if len(hole) < 6:
            continue  # It takes no area.
        ring = list(hole)
        if _signed_area(ring) * side > 0:
            pairs = list(zip(ring[::2], ring[1::2], strict=True))[::-1]
            ring = [value for pair in pairs for value in pair]
        points += [*outer[:2], *ring, *ring[:2]]
    return points + outer[:2] if len(points) > len(outer) else points


def _signed_area(points: Sequence[float]) -> float:
    xs, ys = points[::2], points[1::2]
    edges = zip(xs, ys, [*xs[1:], xs[0]], [*ys[1:], ys[0]], strict=True)
    return sum(x * b - a * y for x, y, a, b in edges) / 2
