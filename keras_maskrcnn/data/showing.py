"""Data sets and their records as drawn pictures and as HTML; they have a method for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from keras_maskrcnn import notebook
from keras_maskrcnn.checks import at_least
from keras_maskrcnn.data.reading import read_picture
from keras_maskrcnn.images.pixels import PixelFormat
from keras_maskrcnn.pages import make_page
from keras_maskrcnn.results.texts import class_name
from keras_maskrcnn.visualize import draw_instances

if TYPE_CHECKING:
    from keras_maskrcnn.data.detection_data import DetectionData
    from keras_maskrcnn.data.records import ImageRecord

# In a notebook's own view: pictures of a data set and their longer side; that of a record's; lines
# of tables, and of what was left out.
_PICTURES, _TILE, _SIDE, _ROWS, _LINES = 3, 320, 640, 15, 10
_UNREADABLE = (225, 225, 230)


def plot_record(
    record: ImageRecord,
    class_names: Sequence[str],
    options: Mapping[str, Any],
    pixels: PixelFormat | None = None,
) -> Image.Image:
    """See `ImageRecord.plot`; `pixels` is what those of the file mean, by default RGB."""
    pixels = pixels or PixelFormat()
    image = pixels.displayed(read_picture(record, pixels))
    return Image.fromarray(draw_instances(image, record, class_names, **options))


def show_record(
    record: ImageRecord, class_names: Sequence[str], options: Mapping[str, Any]
) -> None:
    """See `ImageRecord.show`."""
    scale = notebook.shown_scale((record.height, record.width))
    options = {"scale": scale, **options}
    notebook.show(np.asarray(plot_record(record, class_names, options)))


def plot_data(
    data: DetectionData, count: int, columns: int, tile: int, options: Mapping[str, Any]
) -> Image.Image:
    """See `DetectionData.plot`."""
    at_least(1, count=count, columns=columns, tile=tile)
    if not len(data):
        raise ValueError(f"Expected pictures. Received: none in the data set {data.name!r}")
    tiles = [_tile(data, record, tile, options) for record in _chosen(data, count)]
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    return Image.fromarray(make_page(rows))


def show_data(
    data: DetectionData, count: int, columns: int, tile: int | None, options: Mapping[str, Any]
) -> None:
    """See `DetectionData.show`."""
    in_a_row = max(1, min(count, columns, len(data)))
    tile = tile or max(_TILE, min(_SIDE * 3 // 2, notebook.LONGEST // in_a_row))
    notebook.show(np.asarray(plot_data(data, count, columns, tile, options)))


def record_html(record: ImageRecord) -> str:
    """The drawn picture, where it can be read, and a table of its objects."""
    parts = [notebook.line(repr(record), strong=True)]
    scale = notebook.fitting_scale((record.height, record.width), _SIDE)
    try:
        drawn = plot_record(record, (), {"scale": scale})
        parts.append(notebook.picture(np.asarray(drawn), Path(record.path).name))
    except ValueError as error:
        parts.append(notebook.line(f"Without the picture: {error}"))
    rows = [
        [
            instance.annotation_id,
            f"{class_name((), instance.category)}{' (crowd)' if instance.is_crowd else ''}",
            *(f"{v:.1f}" for v in instance.box),
            f"{instance.area:,.0f}",
        ]
        for instance in record.instances[:_ROWS]
    ]
    if rows:
        head = ["annotation id", "class", "x1", "y1", "x2", "y2", "area"]
        parts.append(notebook.table(head, rows, texts=2))
    if len(record.instances) > _ROWS:
        parts.append(notebook.line(f"and {len(record.instances) - _ROWS} more"))
    return "".join(parts)


def data_html(data: DetectionData) -> str:
    """Counts, classes, what was left out and decided, and some drawn pictures."""
    objects = sum(len(record.objects) for record in data.records)
    facts = {
        "pictures": len(data),
        "without objects": sum(not record.objects for record in data.records),
        "objects": objects,
        "crowd regions": sum(len(record.crowds) for record in data.records),
        "objects with a box only": len(data.boxes_only),
        "keypoints of an object": len(data.keypoint_names),
        "items left out": len(data.warnings),
    }
    always = ("pictures", "objects")
    told = {name: f"{n:,}" for name, n in facts.items() if n or name in always}
    if not data.pixels.is_common:
        told["pixels"] = str(data.pixels)
    parts = [
        notebook.line(f"Data set {data.name}" if data.name else "Data set", strong=True),
        notebook.table(list(told), [list(told.values())]),
        _classes(data),
    ]
    for title, texts in (("Notes of the reader", data.notes), ("Items left out", data.warnings)):
        if texts:
            text = notebook.listed(texts, _LINES)
            parts.append(notebook.folded(f"{title} ({len(texts)})", text))
    if len(data):
        page = plot_data(data, _PICTURES, _PICTURES, _TILE, {})
        parts.append(notebook.picture(np.asarray(page), "annotated pictures"))
    return "".join(parts)


def _chosen(data: DetectionData, count: int) -> list[ImageRecord]:
    """All of few records; of many those with something to see, evenly chosen."""
    records = data.records
    if len(records) > count:
        records = [record for record in records if record.instances] or records
    places = np.linspace(0, len(records) - 1, min(count, len(records))).round().astype(int)
    return [records[place] for place in places]


def _classes(data: DetectionData) -> str:
    """The classes with most objects."""
    objects = Counter(o.category for record in data.records for o in record.objects)
    pictures = Counter(k for r in data.records for k in {o.category for o in r.objects})
    order = sorted(range(len(data.class_names)), key=lambda k: -objects[k])
    rows = [[data.class_names[k], f"{objects[k]:,}", f"{pictures[k]:,}"] for k in order]
    table = notebook.table(["class", "objects", "pictures"], rows)
    if len(rows) <= _ROWS:
        return table
    return notebook.folded(f"{len(rows)} classes", table)


def _tile(
    data: DetectionData, record: ImageRecord, tile: int, options: Mapping[str, Any]
) -> tuple[np.ndarray, str]:
    """A drawn picture with its caption; grey where it cannot be read."""
    name = Path(record.path).name
    scale = tile / max(record.height, record.width)
    try:
        drawn = plot_record(record, data.class_names, {**options, "scale": scale}, data.pixels)
    except ValueError as error:
        size = round(record.width * scale), round(record.height * scale)
        blank = Image.new("RGB", (max(1, size[0]), max(1, size[1])), _UNREADABLE)
        return np.asarray(blank), f"{name} cannot be read: {error}"
    count = len(record.objects)
    return np.asarray(drawn), f"{name}: {count} object{'' if count == 1 else 's'}"
