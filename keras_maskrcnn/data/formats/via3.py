"""Reads the projects of VIA (VGG Image Annotator) 3."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from keras_maskrcnn.data.formats.checks import check_entry, check_list, check_numbers
from keras_maskrcnn.data.formats.collector import Collector
from keras_maskrcnn.data.formats.problems import ItemError, shown
from keras_maskrcnn.data.formats.reader import FORMATS, Reader
from keras_maskrcnn.data.formats.shapes import ellipse, rectangle
from keras_maskrcnn.data.formats.source import Source

_PARTS = ("file", "view", "metadata", "attribute")
_RECTANGLE, _CIRCLE, _ELLIPSE, _POLYGON = 2, 3, 4, 7
_COUNTS = {_RECTANGLE: 4, _CIRCLE: 3, _ELLIPSE: 4}


@FORMATS.register("via3")
class Via3(Reader):
    """`file`, `view`, `attribute` and `metadata`, each by ids.

    Metadata without a shape is of the whole picture, and is passed over. Where no object has an
    attribute, all are of one class.

    Args:
        class_attribute: name of the attribute that holds the class; by default the only one that
            objects have.
    """

    title = "VIA 3 JSON"

    def __init__(self, *, class_attribute: str | None = None) -> None:
        self.class_attribute = class_attribute

    def finds(self, source: Source) -> bool:
        return any(map(_is_via3, source.documents))

    def read(self, source: Source, found: Collector) -> None:
        for file in source.with_suffix(".json"):
            document = source.json(file)
            if not _is_via3(document):
                found.problems.add(source.name_of(file), ItemError("file is not of VIA 3"))
                continue
            self._read_project(document, file, source.name_of(file), found)

    def _read_project(
        self, project: dict[str, Any], file: Path, name: str, found: Collector
    ) -> None:
        attribute = self._attribute(project, file)
        of_view: dict[str, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
        for key, value in project["metadata"].items():
            with found.item(f"{name}, metadata {shown(key)}"):
                entry = check_entry(value)
                if entry.get("xy") == []:
                    continue
                if not isinstance(entry.get("vid"), str) or entry["vid"] not in project["view"]:
                    raise ItemError("unknown view", f" ({shown(entry.get('vid'))})")
                of_view[entry["vid"]].append((key, entry))
        for vid, value in project["view"].items():
            objects = of_view[vid]
            with found.item(f"{name}, view {shown(vid)}", len(objects)):
                path = found.find_picture(_file_name(check_entry(value), project), [file.parent])
                image = found.add_picture(path, turned=True)
                for key, entry in objects:
                    item = f"{name}, metadata {shown(key)}"
                    with found.item(item):
                        label = found.only_class
                        if attribute is not None:
                            label = _label(entry, attribute, project["attribute"])
                        found.add_object(image, label, parts=[_polygon(entry)], item=item)

    def _attribute(self, project: dict[str, Any], file: Path) -> str | None:
        """Id of the attribute that holds the class."""
        names = {
            key: value.get("aname")
            for key, value in project["attribute"].items()
            if isinstance(value, dict)
        }
        if self.class_attribute is not None:
            fitting = [key for key, name in names.items() if name == self.class_attribute]
        else:
            of_objects = [
                value.get("av")
                for value in project["metadata"].values()
                if isinstance(value, dict) and value.get("xy")
            ]
            fitting = sorted({key for av in of_objects if isinstance(av, dict) for key in av})
            if not fitting:
                return None
        if len(fitting) != 1:
            named = ", ".join(shown(name) for name in names.values())
            raise ValueError(
                f"{file}: expected class_attribute to be one of the attributes: {named}. "
                f"Received: class_attribute={self.class_attribute!r}"
            )
        return fitting[0]


def _is_via3(document: Any) -> bool:
    return isinstance(document, dict) and all(isinstance(document.get(p), dict) for p in _PARTS)


def _file_name(view: dict[str, Any], project: dict[str, Any]) -> Any:
    files = check_list(view, "fid_list")
    if len(files) != 1 or str(files[0]) not in project["file"]:
        raise ItemError("view is not of one file", f" ({shown(files)})")
    return check_entry(project["file"][str(files[0])]).get("fname")


def _label(entry: dict[str, Any], attribute: str, attributes: dict[str, Any]) -> str:
    """The text of an option, or the text itself where there are no options."""
    value = check_entry(entry.get("av")).get(attribute)
    if not isinstance(value, str) or not value.strip():
        raise ItemError("object has no class", f" ({shown(value)})")
    options = check_entry(attributes.get(attribute)).get("options")
    if not isinstance(options, dict) or not options:
        return value.strip()
    # Of check boxes, the ids of all that are ticked.
    chosen = [key.strip() for key in value.split(",") if key.strip()]
    if len(chosen) != 1:
        raise ItemError("object has several classes", f" ({shown(value)})")
    if not isinstance(options.get(chosen[0]), str):
        raise ItemError("class is none of the options", f" ({shown(value)})")
    return options[chosen[0]].strip()


def _polygon(entry: dict[str, Any]) -> list[float]:
    if entry.get("z"):
        raise ItemError("object is of a moment in a video", f" ({shown(entry['z'])})")
    numbers = check_numbers(entry.get("xy"), "xy")
    kind, values = numbers[0], numbers[1:]
    if kind == _POLYGON:
        return values
    if kind not in _COUNTS:
        raise ItemError("shape is no region", f" (shape {shown(kind)})")
    check_numbers(values, "shape", _COUNTS[int(kind)])
    if kind == _RECTANGLE:
        x, y, width, height = values
        return rectangle(x, y, x + width, y + height)
    x, y, radius = values[:3]
    return ellipse(x, y, radius, radius if kind == _CIRCLE else values[3])
