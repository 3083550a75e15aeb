"""Writes Label Studio's JSON of tasks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

from keras_maskrcnn.data.formats.problems import ItemError, Problems
from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.data.writers.base import SCORE, Part, Writer, item_of, register
from keras_maskrcnn.data.writers.brush import encode_brush
from keras_maskrcnn.data.writers.regions import leave_out, mask_of, one_polygon

_MODEL = "keras_maskrcnn"


@register("label_studio")
class LabelStudioWriter(Writer):
    """`tasks.json` beside `images/`; a folder with both for each split.

    What a model found (objects with a score) are `predictions`, which a person corrects; else they
    are `annotations`. Pictures are given by Label Studio's address of local files: the new folder
    is its document root. The labelling interface must have an `Image` called `image` and, for it,
    controls called `polygon`, `brush` and `box`.
    """

    title = "Label Studio JSON"

    def picture_folder(self, split: str) -> PurePath:
        return PurePath(split, "images")

    def write(self, folder: Path, parts: Sequence[Part], lost: Problems) -> None:
        is_found = any(SCORE in part.data.attribute_names for part in parts)
        for part in parts:
            with open(folder / part.split / "tasks.json", "w", encoding="utf-8") as stream:
                # Task by task: all of them take much memory.
                for number, (name, record) in enumerate(part.pictures(), 1):
                    task = self._task(number, name, record, part, is_found, lost)
                    stream.write("[\n" if number == 1 else ",\n")
                    stream.write(json.dumps(task, ensure_ascii=False))
                stream.write("\n]\n")

    def _task(
        self,
        number: int,
        name: str,
        record: ImageRecord,
        part: Part,
        is_found: bool,
        lost: Problems,
    ) -> dict[str, Any]:
        results = [
            result
            for k, o in enumerate(record.instances, 1)
            for result in _results(
                o, f"{number}_{k}", record, part.data.class_names, item_of(name, o), lost
            )
        ]
        place = (self.picture_folder(part.split) / name).as_posix()
        task = {"id": number, "data": {"image": f"/data/local-files/?d={quote(place)}"}}
        if is_found:
            return {**task, "predictions": [{"model_version": _MODEL, "result": results}]}
        return {**task, "annotations": [{"result": results}]}


def _results(
    o: Instance,
    key: str,
    record: ImageRecord,
    class_names: Sequence[str],
    item: str,
    lost: Problems,
) -> list[dict[str, Any]]:
    """The result of an object; none where it is left out."""
    if leave_out(o, item, lost, attributes=tuple(n for n in o.attributes if n != SCORE)):
        return []
    control, value = _value(o, record, item, lost)
    kind = "rectanglelabels" if control == "box" else f"{control}labels"
    result = {
        "id": key,
        "type": kind,
        "from_name": control,
        "to_name": "image",
        "original_width": record.width,
        "original_height": record.height,
        "image_rotation": 0,
        "value": {**value, kind: [class_names[o.category]]},
    }
    if SCORE in o.attributes:
        result["score"] = float(o.attributes[SCORE])
    return [result]


def _value(
    o: Instance, record: ImageRecord, item: str, lost: Problems
) -> tuple[str, dict[str, Any]]:
    """Which control shows an object, and how: in percent of the picture's sides."""
    width, height = record.width, record.height
    across, down = 100 / width, 100 / height
    region = mask_of(o, record)
    if region is not None:
        bits = region.window(0, 0, width, height)
        return "brush", {"format": "rle", "rle": encode_brush(bits)}
    polygon = one_polygon(o, record, item, lost)
    if polygon is not None:
        pairs = zip(polygon[::2], polygon[1::2], strict=True)
        points = [[float(x) * across, float(y) * down] for x, y in pairs]
        return "polygon", {"points": points, "closed": True}
    lost.add(item, ItemError("box without outline is a rectangle, which is an outline"))
    x1, y1, x2, y2 = map(float, o.box)
    corner = {"x": x1 * across, "y": y1 * down, "rotation": 0}
    return "box", {**corner, "width": (x2 - x1) * across, "height": (y2 - y1) * down}
