"""Reads Label Studio's JSON export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_maskrcnn.data.formats.addresses import local_path, without_upload_prefix
from keras_maskrcnn.data.formats.brush import decode_brush
from keras_maskrcnn.data.formats.checks import (
    check_entry,
    check_list,
    check_numbers,
    check_points,
    check_size,
)
from keras_maskrcnn.data.formats.collector import Collector
from keras_maskrcnn.data.formats.making import Part
from keras_maskrcnn.data.formats.problems import ItemError, MissingPictureError, shown
from keras_maskrcnn.data.formats.reader import FORMATS, Reader
from keras_maskrcnn.data.formats.shapes import ellipse, turned
from keras_maskrcnn.data.formats.source import Source
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.images.formats import is_picture_name
from keras_maskrcnn.outlines import Bitmap

_LABELS = ("polygonlabels", "rectanglelabels", "ellipselabels", "brushlabels", "labels")
# Results that say something of the whole picture.
_OF_THE_PICTURE = frozenset(
    ("choices", "textarea", "rating", "number", "taxonomy", "pairwise", "relation", "datetime")
)


@FORMATS.register("label_studio")
class LabelStudio(Reader):
    """A list of tasks with `data` and `annotations`.

    Points are percent of width and height of the picture as its EXIF orientation turns it. A task
    that was annotated without any object is a picture without objects; one that was not annotated
    is left out, and so is one of several annotations of which none is the ground truth.
    """

    title = "Label Studio JSON"

    def finds(self, source: Source) -> bool:
        return any(map(_is_export, source.documents))

    def read(self, source: Source, found: Collector) -> None:
        for file in source.with_suffix(".json"):
            tasks = source.json(file)
            if not _is_export(tasks):
                found.problems.add(source.name_of(file), ItemError("file is no export of tasks"))
                continue
            for number, task in enumerate(tasks):
                key = task.get("id", f"entry {number}") if isinstance(task, dict) else number
                name = f"{source.name_of(file)}, task {shown(key)}"
                with found.item(name):
                    _read_task(check_entry(task), file.parent, name, found)


def _is_export(document: Any) -> bool:
    if not isinstance(document, list) or not document or not isinstance(document[0], dict):
        return False
    return isinstance(document[0].get("data"), dict) and "annotations" in document[0]


def _read_task(task: dict[str, Any], folder: Path, name: str, found: Collector) -> None:
    results = _results(task)
    shapes = [
        (number, entry)
        for number, entry in enumerate(map(check_entry, results))
        if str(entry.get("type")) not in _OF_THE_PICTURE
    ]
    sizes = set()
    for _, entry in shapes:
        if entry.get("image_rotation") not in (None, 0):
            angle = shown(entry["image_rotation"])
            raise ItemError("picture was turned while it was annotated", f" ({angle} degrees)")
        sizes.add(check_size(entry.get("original_height"), entry.get("original_width")))
    if len(sizes) > 1:
        raise ItemError("annotations give their picture several sizes", f" ({shown(sizes)})")
    path = _find(task, folder, found)
    size = sizes.pop() if sizes else None
    # Points are parts of the upright picture, also where the size is the stored one's (issue 6608
    # of Label Studio).
    image = found.add_picture(path, annotated=size, turned=True, is_relative=True)
    labelled = [e.get("id") for _, e in shapes if _label_of(e) is not None]
    labelled_ids = {key for key in labelled if isinstance(key, str)}
    for number, entry in shapes:
        # Of a shape with labels of their own, the shape also stands alone.
        key = entry.get("id")
        if _label_of(entry) is None and isinstance(key, str) and key in labelled_ids:
            continue
        item = f"{name}, result {number}"
        with found.item(item):
            part = _read_shape(check_entry(entry.get("value")), image)
            found.add_object(
                image,
                _only(_label_of(entry)),
                parts=[part],
                item=item,
            )


def _results(task: dict[str, Any]) -> list[Any]:
    """Of the one annotation, or of the one that is the ground truth."""
    done = [check_entry(a) for a in check_list(task, "annotations")]
    done = [a for a in done if a.get("was_cancelled") is not True]
    if len(done) > 1:
        done = [a for a in done if a.get("ground_truth") is True] or done
    if len(done) != 1:
        raise ItemError("task has not one annotation", f" ({len(done)})")
    return check_list(done[0], "result")


def _find(task: dict[str, Any], folder: Path, found: Collector) -> str:
    """The picture of a task, by its path in a storage, its address, or the name of an upload."""
    names = []
    for value in check_entry(task.get("data")).values():
        if not isinstance(value, str):
            continue
        local = local_path(value)
        if is_picture_name(local):
            names.append(local)
    if len(names) != 1:
        raise ItemError("task has not one picture", f" ({shown(task.get('data'))})")
    try:
        return found.find_picture(names[0], [folder])
    except MissingPictureError as missing:
        try:
            return found.find_picture(without_upload_prefix(names[0]), [folder])
        except MissingPictureError:
            raise missing from None


def _label_of(entry: dict[str, Any]) -> Any:
    value = entry.get("value")
    found = [value[key] for key in _LABELS if key in value] if isinstance(value, dict) else []
    return found[0] if found else None


def _only(labels: Any) -> Any:
    if isinstance(labels, list) and len(labels) > 1:
        raise ItemError("object has several classes", f" ({shown(labels)})")
    return labels[0] if isinstance(labels, list) and labels else None


def _read_shape(value: dict[str, Any], image: ImageRecord) -> Part:
    if "rle" in value:
        return Bitmap(decode_brush(value["rle"], image.height, image.width))
    across, down = image.width / 100, image.height / 100
    if "points" in value:
        points = check_points(value["points"])
        return [number * (down if k % 2 else across) for k, number in enumerate(points)]
    (degrees,) = check_numbers([value.get("rotation", 0)], "rotation")
    if "radiusX" in value:
        numbers = [value.get(key) for key in ("x", "y", "radiusX", "radiusY")]
        x, y, rx, ry = check_numbers(numbers, "ellipse")
        return ellipse(x * across, y * down, rx * across, ry * down, degrees)
    if "height" not in value:
        raise ItemError("shape is no region", f" ({shown(sorted(value))})")
    numbers = [value.get(key) for key in ("x", "y", "width", "height")]
    x, y, width, height = check_numbers(numbers, "rectangle")
    x, y, right, bottom = x * across, y * down, (x + width) * across, (y + height) * down
    # It turns about its top left corner.
    return turned([x, y, right, y, right, bottom, x, bottom], degrees, x, y)
