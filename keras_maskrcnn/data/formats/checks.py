"""What every reader checks, and how it reports what it had to leave out."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

from keras_maskrcnn.data.masks import decode_counts
from keras_maskrcnn.data.records import ImageRecord

NAMED_IN_SUMMARY = 3


class ItemError(ValueError):
    """An item that cannot be used; the message is the reason."""


class Problems:
    """Collects what was left out: a line per item, a count per reason."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lines: list[str] = []
        self.reasons: Counter[str] = Counter()

    def add(self, item: str, reason: str, details: str = "") -> None:
        self.lines.append(f"{item}: {reason}{details}")
        self.reasons[reason] += 1

    def summary(self) -> str:
        counts = ", ".join(f"{count} x {reason}" for reason, count in self.reasons.most_common())
        named = "; ".join(self.lines[:NAMED_IN_SUMMARY])
        more = len(self.lines) - NAMED_IN_SUMMARY
        rest = f"; and {more} more, see DetectionData.warnings" if more > 0 else ""
        return f"{self.file}: left out {len(self.lines)} items ({counts}): {named}{rest}"


def check_box(value: Any, image: ImageRecord) -> tuple[float, float, float, float]:
    try:
        x, y, width, height = map(float, value)
    except (TypeError, ValueError):
        raise ItemError("bbox is not four numbers") from None
    if not all(map(math.isfinite, (x, y, width, height))):
        raise ItemError("bbox is not four finite numbers")
    x1, y1 = max(x, 0.0), max(y, 0.0)
    x2, y2 = min(x + width, float(image.width)), min(y + height, float(image.height))
    if not (width > 0 and height > 0):
        raise ItemError("box has no area")
    if not (x2 > x1 and y2 > y1):
        raise ItemError("box lies outside its picture")
    return x1, y1, x2, y2


def check_rle(rle: dict[str, Any], image: ImageRecord) -> None:
    if list(rle["size"]) != [image.height, image.width]:
        raise ItemError("RLE size disagrees with the picture's height and width")
    try:
        counts = decode_counts(rle["counts"])
    except (ValueError, OverflowError):
        raise ItemError("RLE counts cannot be decoded") from None
    if counts.sum() != image.height * image.width or counts.min() < 0:
        raise ItemError("RLE counts do not add up to the picture's size")
    if not counts[1::2].any():
        raise ItemError("RLE is empty")


def check_polygons(
    polygons: Any, box: tuple[float, float, float, float], name: str, problems: Problems
) -> list[Any]:
    """The parts that can be drawn; a part that cannot is reported, no part at all is an error."""
    if not isinstance(polygons, list) or not polygons:
        raise ItemError("segmentation is neither a list of polygons nor an RLE")
    reasons = [_polygon_problem(polygon, box) for polygon in polygons]
    usable = [part for part, reason in zip(polygons, reasons, strict=True) if reason is None]
    if not usable:
        raise ItemError(next(reason for reason in reasons if reason))
    for part, reason in enumerate(reasons):
        if reason is not None:
            problems.add(f"{name}, part {part}", reason)
    return usable


def _polygon_problem(polygon: Any, box: tuple[float, float, float, float]) -> str | None:
    # Plain Python: for a few dozen numbers it is several times faster than arrays.
    if not isinstance(polygon, list):
        return "polygon is not a list x, y, x, y, ..."
    try:
        is_finite = math.isfinite(sum(polygon))
    except TypeError:
        return "polygon is not a list of numbers"
    if not is_finite:
        return "polygon is not made of finite numbers"
    if len(polygon) % 2:
        return "polygon is not a list x, y, x, y, ..."
    if len(polygon) < 6:
        return "polygon has fewer than 3 points"
    xs, ys = polygon[::2], polygon[1::2]
    left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
    if not (right > left and bottom > top):
        return "polygon has no area"
    if right <= box[0] or left >= box[2] or bottom <= box[1] or top >= box[3]:
        return "polygon lies outside its box"
    return None


def require_unique(ids: list[Any], what: str, file: Path) -> None:
    twice = [key for key, count in Counter(map(repr, ids)).items() if count > 1]
    if twice:
        named = ", ".join(twice[:NAMED_IN_SUMMARY])
        raise ValueError(f"{file}: {len(twice)} {what} ids occur more than once: {named}")
