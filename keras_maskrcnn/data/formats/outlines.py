"""Checks of an object's outline: polygons or a run-length encoding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_maskrcnn.data.formats.checks import NUMBERS, check_entry
from keras_maskrcnn.data.formats.problems import ItemError
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.outlines import RLE, Outline, Polygons, decode_counts
from keras_maskrcnn.outlines.base import Box

# pycocotools walks along an outline in steps of a fifth of a pixel and keeps them all: about
# 50 bytes per pixel of length. An outline around all of a picture of 100 million pixels is 40,000
# pixels long.
_LONGEST = 2_000_000
_MOST_POINTS = 1_000_000
# Characters of a compressed run length: 5 bits each, for runs of at most 2^31 pixels.
_LONGEST_COUNT = 7


def check_outline(
    value: Any, box: Box, image: ImageRecord
) -> tuple[Outline | None, list[tuple[int, ItemError]]]:
    """An outline as `Instance.outline` holds it.

    Args:
        value: what the file says; None, `[]` and `""` stand for no outline.
        box: the object's.
        image: its picture.

    Returns:
        The outline, or None; and the parts that were left out because they cannot be drawn.

    Raises:
        ItemError: if it is something else, or nothing of it can be drawn.
    """
    if value is None or value == [] or value == "":
        return None, []
    if isinstance(value, dict):
        return _check_rle(check_entry(value), image), []
    if not isinstance(value, list):
        raise ItemError("segmentation is neither a list of polygons nor an RLE")
    usable, _, bad = check_polygons(value, box)
    if not usable:
        raise bad[0][1]
    return Polygons(usable), bad


def check_polygons(
    polygons: Sequence[Any], box: Box, place: str = "box"
) -> tuple[list[list[float]], list[Box], list[tuple[int, ItemError]]]:
    """Those that can be drawn, and the rest.

    Args:
        polygons: what a file says.
        box: that they must meet.
        place: what it is, for messages.

    Returns:
        The good ones, their boxes `(x1, y1, x2, y2)`, and number and reason of each bad one.
    """
    usable, bounds, bad = [], [], []
    for number, polygon in enumerate(polygons):
        try:
            bounds.append(_polygon_bounds(polygon, box, place))
            usable.append(polygon)
        except ItemError as problem:
            bad.append((number, problem))
    return usable, bounds, bad


def _check_rle(rle: dict[str, Any], image: ImageRecord) -> RLE:
    size, pixels = [image.height, image.width], image.height * image.width
    if rle.get("size") != size:
        raise ItemError("RLE size disagrees with the picture's height and width")
    counts = rle.get("counts")
    if not isinstance(counts, list | str):
        raise ItemError("RLE counts are neither a list of integers nor a string")
    if isinstance(counts, list) and not set(map(type, counts)) <= {int}:
        raise ItemError("RLE counts are neither a list of integers nor a string")
    if len(counts) > _LONGEST_COUNT * (pixels + 1):
        raise ItemError("RLE has more runs than its picture has pixels")
    try:
        runs = decode_counts(counts)
    except (ValueError, OverflowError):
        raise ItemError("RLE counts cannot be decoded") from None
    # Each by itself first: the sum of huge ones may overflow to the right number.
    if not runs.size or runs.min() < 0 or runs.max() > pixels or runs.sum() != pixels:
        raise ItemError("RLE counts do not add up to the picture's size")
    if not runs[1::2].any():
        raise ItemError("RLE is empty")
    return RLE(size, counts)


def _polygon_bounds(polygon: Any, box: Box, place: str) -> Box:
    """The box of a polygon `[x, y, x, y, ...]`; `ItemError` if it cannot be drawn."""
    # Plain Python: for a few dozen numbers it is several times faster than arrays.
    if not isinstance(polygon, list):
        raise ItemError("polygon is not a list x, y, x, y, ...")
    if not NUMBERS.issuperset(map(type, polygon)):
        raise ItemError("polygon is not a list of numbers")
    try:
        is_finite = math.isfinite(sum(polygon))
    except OverflowError:
        is_finite = False
    if not is_finite:
        raise ItemError("polygon is not made of finite numbers")
    if len(polygon) % 2:
        raise ItemError("polygon is not a list x, y, x, y, ...")
    if len(polygon) < 6:
        raise ItemError("polygon has fewer than 3 points")
    if len(polygon) > 2 * _MOST_POINTS:
        raise ItemError(f"polygon has more than {_MOST_POINTS} points")
    xs, ys = polygon[::2], polygon[1::2]
    left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
    # Compared before they are subtracted, which fails for an integer of hundreds of digits.
    is_near = min(left, top) >= -_LONGEST and max(right, bottom) <= _LONGEST
    if not is_near or _is_too_long(polygon, right - left + bottom - top):
        raise ItemError(f"polygon is longer than {_LONGEST} pixels")
    if not (right > left and bottom > top):
        raise ItemError("polygon has no area")
    if right <= box[0] or left >= box[2] or bottom <= box[1] or top >= box[3]:
        raise ItemError(f"polygon lies outside its {place}")
    return left, top, right, bottom


def _is_too_long(polygon: list[float], longest_edge: float) -> bool:
    if len(polygon) / 2 * longest_edge <= _LONGEST:
        return False
    points = np.array(polygon, np.float64).reshape(-1, 2)
    return bool(np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum() > _LONGEST)
