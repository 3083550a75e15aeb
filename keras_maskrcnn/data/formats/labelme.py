"""Reads LabelMe's JSON, a file for each picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from keras_maskrcnn.data.formats.checks import (
    check_entry,
    check_list,
    check_points,
    check_size,
)
from keras_maskrcnn.data.formats.collector import Collector
from keras_maskrcnn.data.formats.embedded import decode_base64, mask_bits, png_values
from keras_maskrcnn.data.formats.making import Part
from keras_maskrcnn.data.formats.problems import ItemError, shown
from keras_maskrcnn.data.formats.reader import FORMATS, Reader
from keras_maskrcnn.data.formats.shapes import ellipse, rectangle
from keras_maskrcnn.data.formats.source import Source
from keras_maskrcnn.outlines import Bitmap

# Labels that LabelMe's own converters keep for what is no object.
_NO_OBJECT = ("__ignore__", "_background_")


@FORMATS.register("labelme")
class LabelMe(Reader):
    """`shapes` of `label`, `points` and `shape_type`.

    Shapes of one label and `group_id` are parts of one object. Sizes and points are of the picture
    as its EXIF orientation turns it. Of a picture that is only embedded (`imageData`), the path is
    the JSON file's.
    """

    title = "LabelMe JSON"

    def finds(self, source: Source) -> bool:
        return any(map(_is_labelme, source.documents))

    def read(self, source: Source, found: Collector) -> None:
        for file in source.with_suffix(".json"):
            name = source.name_of(file)
            try:
                document = source.json(file)
            except ValueError as error:
                found.problems.add(name, ItemError("file cannot be read", f" ({error})"))
                continue
            source.forget(file)
            count = len(document["shapes"]) if _is_labelme(document) else 0
            with found.item(name, count):
                self._read_document(document, file, name, found)

    def _read_document(self, document: Any, file: Path, name: str, found: Collector) -> None:
        entry = check_entry(document)
        shapes = check_list(entry, "shapes")
        size = check_size(entry.get("imageHeight"), entry.get("imageWidth"))
        try:
            path = found.find_picture(entry.get("imagePath"), [file.parent])
        except ItemError:
            if not isinstance(entry.get("imageData"), str):
                raise
            # What is embedded is the picture as it was shown.
            path = str(file)
        image = found.add_picture(path, annotated=size, turned=True)
        objects: dict[Any, list[tuple[int, Part]]] = {}
        for number, value in enumerate(shapes):
            with found.item(f"{name}, shape {number}"):
                shape = check_entry(value)
                part = _read_shape(shape, image.height * image.width)
                group = shape.get("group_id")
                if group is not None and type(group) is not int:
                    raise ItemError("group_id is no integer", f" ({shown(group)})")
                label = shape.get("label")
                if not isinstance(label, str):
                    raise ItemError("object has no class", f" ({shown(label)})")
                key = (label, number, False) if group is None else (label, group, True)
                objects.setdefault(key, []).append((number, part))
        for (label, _, _), parts in objects.items():
            item = f"{name}, shape {parts[0][0]}"
            with found.item(item):
                found.add_object(
                    image,
                    label,
                    parts=[part for _, part in parts],
                    item=item,
                )


def _is_labelme(document: Any) -> bool:
    return (
        isinstance(document, dict)
        and isinstance(document.get("shapes"), list)
        and "imagePath" in document
    )


def _read_shape(shape: dict[str, Any], pixels: int) -> Part:
    if shape.get("label") in _NO_OBJECT:
        raise ItemError(f"label {shape['label']} is no class")
    # Files of the first versions have polygons only, and no kind.
    kind = shape.get("shape_type") or "polygon"
    points = check_points(shape.get("points"))
    if kind in ("polygon", "oriented_rectangle"):
        return points
    if kind in ("rectangle", "circle", "mask") and len(points) != 4:
        raise ItemError(f"{kind} has not two points", f" ({shown(points)})")
    if kind == "rectangle":
        return rectangle(*points)
    if kind == "circle":
        x, y, rim_x, rim_y = points
        radius = math.hypot(rim_x - x, rim_y - y)
        return ellipse(x, y, radius, radius)
    if kind == "mask":
        return _read_mask(shape.get("mask"), points, pixels)
    raise ItemError("shape is no region", f" ({shown(kind)})")


def _read_mask(text: Any, points: list[float], pixels: int) -> Bitmap:
    """A PNG of the pixels from the first point to the second, both included."""
    bits = mask_bits(png_values(decode_base64(text, pixels), pixels=pixels))
    left, top, right, bottom = (round(value) for value in points)
    expected = bottom - top + 1, right - left + 1
    # Of points between pixels, both corners are rounded by themselves.
    slack = 0 if all(float(value).is_integer() for value in points) else 1
    if max(abs(a - b) for a, b in zip(bits.shape, expected, strict=True)) > slack:
        raise ItemError(
            "mask is not of the size that its points tell",
            f" ({bits.shape[0]} x {bits.shape[1]}, points {shown(points)})",
        )
    return Bitmap(bits, left, top)
