"""Checks of the values of an annotation; what is wrong is raised as an `ItemError`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from keras_maskrcnn.data.formats.json_file import RepeatedKeys
from keras_maskrcnn.data.formats.problems import ItemError, shown
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.outlines.base import Box

# JSON's numbers; `bool` is one of Python's `int`, but no number.
NUMBERS = frozenset({int, float})
# Where a batch holds a box in float32, its two sides must stay apart, whatever it is scaled by:
# by some steps of float32 (2^-23 of the value), and by so much that its area is no zero either.
_THINNEST_PART = 2.0**-21
_THINNEST = 1e-3
# COCO's evaluation passes over a larger object in silence.
_LARGEST_AREA = 1e10


def check_entry(value: Any) -> dict[str, Any]:
    """A JSON object that says each thing once."""
    if isinstance(value, RepeatedKeys):
        raise ItemError("a key stands more than once", f" ({shown(value.repeated)})")
    if not isinstance(value, dict):
        raise ItemError("entry is no JSON object", f" ({shown(value)})")
    return value


def check_integer(entry: dict[str, Any], key: str) -> int:
    """An integer of 64 bits, as arrays hold it; 7.0 counts as 7, `true` does not count as 1."""
    if key not in entry:
        raise ItemError(f"{key} is missing")
    value = entry[key]
    if type(value) is not int:
        if not (isinstance(value, float) and value.is_integer()):
            raise ItemError(f"{key} is no integer", f" ({shown(value)})")
        value = int(value)
    if not -(2**63) <= value < 2**63:
        raise ItemError(f"{key} is beyond 64 bits", f" ({shown(value)})")
    return value


def check_box(value: Any, image: ImageRecord) -> Box:
    """`x, y, width, height` as `(x1, y1, x2, y2)`, clipped to the picture."""
    numbers = finite_floats(value)
    if numbers is None or len(numbers) != 4:
        raise ItemError("bbox is not four finite numbers", f" ({shown(value)})")
    x, y, width, height = numbers
    if width <= 0 or height <= 0:
        raise ItemError("box has no area")
    return clip_box(x, y, x + width, y + height, image)


def clip_box(x1: float, y1: float, x2: float, y2: float, image: ImageRecord) -> Box:
    """A box of finite numbers, clipped to the picture."""
    width, height = float(image.width), float(image.height)
    if x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0:
        raise ItemError("box lies outside its picture")
    left, top = x1 if x1 > 0.0 else 0.0, y1 if y1 > 0.0 else 0.0
    right, bottom = x2 if x2 < width else width, y2 if y2 < height else height
    thinnest = right - left - right * _THINNEST_PART, bottom - top - bottom * _THINNEST_PART
    if min(thinnest) < _THINNEST:
        raise ItemError("box is too thin for float32", f" ({x1}, {y1}, {x2}, {y2})")
    return left, top, right, bottom


def check_area(entry: dict[str, Any]) -> float | None:
    """The annotated area; None without one."""
    if "area" not in entry:
        return None
    value = entry["area"]
    if type(value) not in NUMBERS or not 0 <= value <= _LARGEST_AREA:
        raise ItemError("area is no number from 0 to 1e10", f" ({shown(value)})")
    return float(value)


def check_crowd(entry: dict[str, Any]) -> bool:
    """Whether `iscrowd` is 1; it may be missing."""
    value = entry.get("iscrowd", 0)
    if type(value) not in NUMBERS or value not in (0, 1):
        raise ItemError("iscrowd is neither 0 nor 1", f" ({shown(value)})")
    return value == 1


def check_keypoints(value: Any, count: int, image: ImageRecord) -> np.ndarray | None:
    """`x, y, visibility` in turn, as `Instance` holds them; None where nothing is annotated.

    COCO counts whole pixels from 0, so half a pixel is added.
    """
    if not count or value is None or value == []:
        return None
    numbers = finite_floats(value)
    if numbers is None or len(numbers) != 3 * count:
        raise ItemError(f"keypoints are not {count} triples of finite numbers")
    if not set(numbers[2::3]) <= {0.0, 1.0, 2.0}:
        raise ItemError("keypoints are not x, y and visibility 0, 1 or 2")
    points = np.array(numbers).reshape(count, 3)
    points[points[:, 2] == 0] = 0.0
    if np.abs(points).max() > 2 * max(image.height, image.width, 2):
        raise ItemError("a labelled keypoint lies far outside its picture")
    points[points[:, 2] > 0, :2] += 0.5
    return points.astype(np.float32)


def finite_floats(value: Any) -> list[float] | None:
    """A list of finite numbers as floats; None when it is no such list."""
    if not isinstance(value, list) or not set(map(type, value)) <= NUMBERS:
        return None
    try:
        numbers = list(map(float, value))
    except OverflowError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def check_numbers(value: Any, what: str, count: int | None = None) -> list[float]:
    """A list of finite numbers, of that length where one is given; they stay as written."""
    numbers = finite_floats(value)
    if numbers is None or count not in (None, len(numbers)):
        length = "" if count is None else f"{count} "
        raise ItemError(f"{what} is not a list of {length}finite numbers", f" ({shown(value)})")
    return value


def check_points(value: Any, what: str = "points") -> list[float]:
    """A list of `[x, y]`, as `x, y, x, y, ...`."""
    if not isinstance(value, list):
        raise ItemError(f"{what} is no list of pairs of numbers", f" ({shown(value)})")
    flat: list[float] = []
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2 or finite_floats(pair) is None:
            raise ItemError(f"{what} is no list of pairs of numbers", f" ({shown(pair)})")
        flat += pair
    return flat


def check_list(entry: dict[str, Any], key: str) -> list[Any]:
    """A list within a JSON object."""
    if not isinstance(entry.get(key), list):
        raise ItemError(f"{key} is no list", f" ({shown(entry.get(key))})")
    return entry[key]


def check_size(height: Any, width: Any) -> tuple[int, int] | None:
    """Height and width as a file gives them, or None where it gives neither."""
    if height is None and width is None:
        return None
    entry = {"height": height, "width": width}
    return check_integer(entry, "height"), check_integer(entry, "width")
