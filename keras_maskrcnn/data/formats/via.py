"""Reads the JSON of VIA (VGG Image Annotator) 1 and 2."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

from keras_maskrcnn.data.formats.checks import check_entry, check_numbers
from keras_maskrcnn.data.formats.collector import Collector
from keras_maskrcnn.data.formats.problems import ItemError, shown
from keras_maskrcnn.data.formats.reader import FORMATS, Reader
from keras_maskrcnn.data.formats.shapes import ellipse, rectangle
from keras_maskrcnn.data.formats.source import Source

_PROJECT = "_via_img_metadata"
# What each shape is made of, in the file.
_NUMBERS = {
    "rect": ("x", "y", "width", "height"),
    "circle": ("cx", "cy", "r"),
    "ellipse": ("cx", "cy", "rx", "ry"),
}


@FORMATS.register("via")
class Via(Reader):
    """Pictures by name and file size, each with `regions`: a dict (VIA 1) or a list (VIA 2).

    A project file holds the same within `_via_img_metadata`. There are no sizes of pictures, so
    their headers are read. Where no region has an attribute, all objects are of one class.

    Args:
        class_attribute: the region attribute that holds the class; by default the only one.
    """

    title = "VIA 2 (or 1) JSON"

    def __init__(self, *, class_attribute: str | None = None) -> None:
        self.class_attribute = class_attribute

    def finds(self, source: Source) -> bool:
        return any(_entries(document) is not None for document in source.documents)

    def read(self, source: Source, found: Collector) -> None:
        for file in source.with_suffix(".json"):
            document = source.json(file)
            entries = _entries(document)
            if entries is None:
                found.problems.add(source.name_of(file), ItemError("file is not of VIA"))
                continue
            attribute = self.class_attribute or _class_attribute(entries, file)
            for key, value in entries.items():
                regions = value.get("regions") if isinstance(value, dict) else None
                count = len(regions) if isinstance(regions, dict | list) else 0
                name = f"{source.name_of(file)}, picture {shown(key)}"
                with found.item(name, count):
                    _read_entry(check_entry(value), file.parent, name, attribute, found)


def _entries(document: Any) -> dict[str, Any] | None:
    """The pictures of a file of VIA 1 or 2, else None."""
    if not isinstance(document, dict):
        return None
    if isinstance(document.get(_PROJECT), dict):
        return document[_PROJECT]
    first = next(iter(document.values()), None)
    is_via = isinstance(first, dict) and "filename" in first and "regions" in first
    return document if is_via else None


def _regions(entry: dict[str, Any]) -> dict[str, Any]:
    regions = entry.get("regions")
    if isinstance(regions, list):
        return {str(number): region for number, region in enumerate(regions)}
    if not isinstance(regions, dict):
        raise ItemError("regions is neither a list nor a JSON object", f" ({shown(regions)})")
    return regions


def _class_attribute(entries: dict[str, Any], file: Path) -> str | None:
    """The one attribute that regions have, if any."""
    counts: Counter[str] = Counter()
    for entry in entries.values():
        regions = entry.get("regions") if isinstance(entry, dict) else None
        values = regions.values() if isinstance(regions, dict) else regions
        for region in values if isinstance(regions, dict | list) and values else ():
            attributes = region.get("region_attributes") if isinstance(region, dict) else None
            counts.update(list(attributes) if isinstance(attributes, dict) else ())
    if len(counts) > 1:
        named = ", ".join(f"{shown(name)} ({count} regions)" for name, count in counts.items())
        raise ValueError(
            f"{file}: expected class_attribute to name the region attribute that holds the class, "
            f"since there are several: {named}. Received: class_attribute=None"
        )
    return next(iter(counts), None)


def _read_entry(
    entry: dict[str, Any], folder: Path, name: str, attribute: str | None, found: Collector
) -> None:
    regions = _regions(entry)
    path = found.find_picture(entry.get("filename"), [folder])
    image = found.add_picture(path, turned=True)
    for key, value in regions.items():
        item = f"{name}, region {shown(key)}"
        with found.item(item):
            region = check_entry(value)
            polygon = _polygon(check_entry(region.get("shape_attributes")))
            label = found.only_class
            if attribute is not None:
                label = _label(check_entry(region.get("region_attributes")).get(attribute))
            found.add_object(image, label, parts=[polygon], item=item)


def _label(value: Any) -> str:
    """The class of text or a drop-down list, or the one box of several that is ticked."""
    if isinstance(value, dict):
        ticked = [key for key, state in value.items() if state is True]
        if len(ticked) > 1:
            raise ItemError("object has several classes", f" ({shown(ticked)})")
        value = ticked[0] if ticked else None
    if not isinstance(value, str):
        raise ItemError("object has no class", f" ({shown(value)})")
    return value.strip()


def _polygon(shape: dict[str, Any]) -> list[float]:
    kind = shape.get("name")
    if kind == "polygon":
        xs = check_numbers(shape.get("all_points_x"), "all_points_x")
        ys = check_numbers(shape.get("all_points_y"), "all_points_y", len(xs))
        return [value for point in zip(xs, ys, strict=True) for value in point]
    if not isinstance(kind, str) or kind not in _NUMBERS:
        raise ItemError("shape is no region", f" ({shown(kind)})")
    values = check_numbers([shape.get(key) for key in _NUMBERS[kind]], kind)
    if kind == "rect":
        x, y, width, height = values
        return rectangle(x, y, x + width, y + height)
    if kind == "circle":
        return ellipse(values[0], values[1], values[2], values[2])
    # In radians; files of before version 2.0.5 have none.
    (theta,) = check_numbers([shape.get("theta", 0)], "theta")
    x, y, rx, ry = values
    return ellipse(x, y, rx, ry, math.degrees(theta))
