"""Writes CVAT's XML 1.1, of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.formats.problems import ItemError, Problems
from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.data.writers.base import SCORE, Part, Writer, item_of, register
from keras_maskrcnn.data.writers.regions import leave_out, region_of
from keras_maskrcnn.outlines import Bitmap


@register("cvat")
class CvatWriter(Writer):
    """`annotations.xml` beside `images/`; a folder with both for each split.

    Masks stay masks, vertices keep all their digits. Parts of an object share its `group_id`.
    Attributes, such as the score of an object that a model found, are `<attribute>`s of a shape,
    which CVAT shows where the task's labels have attributes of that name.
    """

    title = "CVAT XML 1.1"

    def picture_folder(self, split: str) -> PurePath:
        return PurePath(split, "images")

    def write(self, folder: Path, parts: Sequence[Part], lost: Problems) -> None:
        for part in parts:
            file = folder / part.split / "annotations.xml"
            with open(file, "w", encoding="utf-8") as stream:
                stream.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n')
                stream.write("<version>1.1</version>\n" + _text(_labels(part.data)))
                # Picture by picture: the tree of all would take gigabytes.
                for number, (name, record) in enumerate(part.pictures()):
                    stream.write(_text(_image(number, name, record, part.data, lost)))
                stream.write("</annotations>\n")


def _text(element: Element) -> str:
    return tostring(element, encoding="unicode") + "\n"


def _labels(data: DetectionData) -> Element:
    meta = Element("meta")
    labels = SubElement(SubElement(meta, "task"), "labels")
    for name in data.class_names:
        label = SubElement(labels, "label")
        SubElement(label, "name").text = name
        attributes = SubElement(label, "attributes")
        for key in data.attribute_names:
            attribute = SubElement(attributes, "attribute")
            SubElement(attribute, "name").text = key
            SubElement(attribute, "mutable").text = "False"
            SubElement(attribute, "input_type").text = "text"
            SubElement(attribute, "default_value")
            SubElement(attribute, "values")
    return meta


def _image(
    number: int, name: str, record: ImageRecord, data: DetectionData, lost: Problems
) -> Element:
    size = {"width": str(record.width), "height": str(record.height)}
    image = Element("image", {"id": str(number), "name": name, **size})
    for group, o in enumerate(record.instances, 1):
        item = item_of(name, o)
        if leave_out(o, item, lost):
            continue
        common = {
            "label": data.class_names[o.category],
            "source": "auto" if SCORE in o.attributes else "manual",
            "occluded": "0",
            "z_order": "0",
        }
        shapes = _shapes(o, record, item, lost)
        if len(shapes) > 1:
            common["group_id"] = str(group)
        for shape in shapes:
            shape.attrib |= common
            for key, value in o.attributes.items():
                SubElement(shape, "attribute", {"name": key}).text = repr(float(value))
            image.append(shape)
    return image


def _shapes(o: Instance, record: ImageRecord, item: str, lost: Problems) -> list[Element]:
    region = region_of(o, record, item, lost)
    if isinstance(region, Bitmap):
        height, width = region.bits.shape
        places = {"left": region.left, "top": region.top, "width": width, "height": height}
        rle = ", ".join(map(str, _runs(region.bits)))
        return [Element("mask", {"rle": rle, **{key: str(v) for key, v in places.items()}})]
    if region is not None:
        return [Element("polygon", {"points": _points(polygon)}) for polygon in region]
    lost.add(item, ItemError("box without outline is a rectangle, which is an outline"))
    corners = zip(("xtl", "ytl", "xbr", "ybr"), o.box, strict=True)
    return [Element("box", {key: repr(float(value)) for key, value in corners})]


def _points(polygon: list[float]) -> str:
    pairs = zip(polygon[::2], polygon[1::2], strict=True)
    return ";".join(f"{float(x)!r},{float(y)!r}" for x, y in pairs)


def _runs(bits: np.ndarray) -> list[int]:
    """Run lengths row by row, beginning with background."""
    flat = np.concatenate([[False], bits.ravel()])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(changes, prepend=0, append=bits.size).tolist()
