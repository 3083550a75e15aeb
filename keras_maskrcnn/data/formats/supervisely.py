"""Reads Supervisely's projects: `meta.json`, and a JSON for each picture in folders `ann`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_maskrcnn.data.formats.checks import (
    check_entry,
    check_list,
    check_numbers,
    check_points,
    check_size,
)
from keras_maskrcnn.data.formats.collector import Collector
from keras_maskrcnn.data.formats.embedded import decode_base64, inflate, mask_bits, png_values
from keras_maskrcnn.data.formats.making import Part
from keras_maskrcnn.data.formats.problems import ItemError, shown
from keras_maskrcnn.data.formats.reader import FORMATS, SPLITS, Reader
from keras_maskrcnn.data.formats.shapes import rectangle, with_holes
from keras_maskrcnn.data.formats.source import Source
from keras_maskrcnn.outlines import Bitmap

_META = "meta.json"


@FORMATS.register("supervisely")
class Supervisely(Reader):
    """`dataset/ann/a.jpg.json` of `dataset/img/a.jpg`.

    Polygons with holes, bitmaps and rectangles, whose corners are pixels that belong to them.
    Sizes and points are taken to be of the picture as its EXIF orientation turns it.
    """

    title = "Supervisely JSON"

    def finds(self, source: Source) -> bool:
        return any(_is_meta(d) or _is_annotation(d) for d in source.documents)

    def splits(self, source: Source) -> dict[str, Source]:
        folders = {f.parent.parent for f in source.with_suffix(".json") if f.parent.name == "ann"}
        named = {f.name: f for f in sorted(folders) if f.name.lower() in SPLITS}
        return {name: source.part(folder) for name, folder in named.items()}

    def read(self, source: Source, found: Collector) -> None:
        shapes = _read_meta(source)
        if shapes:
            found.declare_classes(list(shapes))
        for file in source.with_suffix(".json"):
            name = source.name_of(file)
            if file.parent.name != "ann":
                continue
            with found.item(name):
                try:
                    document = check_entry(source.json(file))
                except ValueError as error:
                    raise ItemError("file cannot be read", f" ({error})") from None
                source.forget(file)
                self._read_document(document, file, name, shapes, source, found)

    def _read_document(
        self,
        document: dict[str, Any],
        file: Path,
        name: str,
        shapes: dict[str, str],
        source: Source,
        found: Collector,
    ) -> None:
        size = check_entry(document.get("size"))
        annotated = check_size(size.get("height"), size.get("width"))
        objects = check_list(document, "objects")
        pictures = file.parent.parent / "img"
        # `a.jpg.json`; of old projects `a.json`.
        try:
            path = found.find_picture(file.stem, [pictures])
        except ItemError:
            path = source.pictures.with_stem((file.stem,), [pictures])
        image = found.add_picture(path, annotated=annotated, turned=True)
        for number, value in enumerate(objects):
            item = f"{name}, object {number}"
            with found.item(item):
                entry = check_entry(value)
                label = entry.get("classTitle")
                kind = entry.get("geometryType") or shapes.get(str(label))
                part = _read_geometry(entry, kind, image.height * image.width)
                found.add_object(
                    image,
                    label,
                    parts=[part],
                    item=item,
                )


def _is_meta(document: Any) -> bool:
    classes = document.get("classes") if isinstance(document, dict) else None
    return isinstance(classes, list) and all(
        isinstance(c, dict) and {"title", "shape"} <= set(c) for c in classes
    )


def _is_annotation(document: Any) -> bool:
    return (
        isinstance(document, dict)
        and isinstance(document.get("objects"), list)
        and isinstance(document.get("size"), dict)
    )


def _read_meta(source: Source) -> dict[str, str]:
    """The kind of shape of each class; none where `meta.json` is missing."""
    for folder in (source.root, source.root.parent):
        if (folder / _META).is_file():
            meta = source.json(folder / _META)
            if not _is_meta(meta):
                raise ValueError(
                    f"{folder / _META}: expected classes with title and shape. "
                    f"Received: {shown(meta)}"
                )
            return {str(c["title"]): str(c["shape"]) for c in meta["classes"]}
    return {}


def _read_geometry(entry: dict[str, Any], kind: Any, pixels: int) -> Part:
    if kind == "bitmap":
        bitmap = check_entry(entry.get("bitmap"))
        x, y = check_numbers(bitmap.get("origin"), "origin", 2)
        content = inflate(decode_base64(bitmap.get("data"), pixels), pixels)
        bits = mask_bits(png_values(content, pixels=pixels))
        return Bitmap(bits, int(x), int(y))
    if kind not in ("polygon", "rectangle"):
        raise ItemError("shape is no region", f" ({shown(kind)})")
    points = check_entry(entry.get("points"))
    outer = check_points(points.get("exterior"), "exterior")
    if kind == "rectangle":
        if len(outer) != 4:
            raise ItemError("rectangle has not two points", f" ({shown(outer)})")
        (x1, x2), (y1, y2) = sorted(outer[::2]), sorted(outer[1::2])
        return rectangle(x1, y1, x2 + 1, y2 + 1)
    holes = check_list({"interior": [], **points}, "interior")
    return with_holes(outer, [check_points(hole, "interior") for hole in holes])
