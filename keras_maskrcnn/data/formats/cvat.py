"""Reads CVAT's XML 1.1, of pictures and of videos."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

import numpy as np

from keras_maskrcnn.data.formats.collector import Collector
from keras_maskrcnn.data.formats.making import Part
from keras_maskrcnn.data.formats.problems import ItemError, shown
from keras_maskrcnn.data.formats.reader import FORMATS, Reader
from keras_maskrcnn.data.formats.shapes import ellipse, rectangle
from keras_maskrcnn.data.formats.source import Source
from keras_maskrcnn.data.formats.words import words_as_floats, words_as_integers
from keras_maskrcnn.data.formats.xml_file import xml_elements
from keras_maskrcnn.data.picture_files import MAX_PIXELS
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.outlines import Bitmap

_FRAME = re.compile(r"frame_(\d+)$", re.IGNORECASE)
# A tag is of the whole picture.
_PASSED_OVER = ("tag", "attribute")


class _Shape(NamedTuple):
    name: str
    label: str
    group: str | None
    part: Part


@FORMATS.register("cvat")
class Cvat(Reader):
    """`<image>` with its shapes, or `<track>` with shapes by frame.

    Shapes of one label and `group_id` are parts of one object. The frames of a video are pictures
    called `frame_000012`. Sizes and points are of the picture as its EXIF orientation turns it.
    """

    title = "CVAT XML 1.1"

    def finds(self, source: Source) -> bool:
        return any(re.search(r"<annotations[\s>]", head) for head in source.heads(".xml"))

    def read(self, source: Source, found: Collector) -> None:
        files = source.with_suffix(".xml")
        names = dict.fromkeys(name for file in files for name in _labels(file))
        if names:
            found.declare_classes(list(names))
        for file in files:
            frames: dict[int, list[_Shape]] = defaultdict(list)
            is_video = False
            for number, element in enumerate(xml_elements(file, ("image", "track"))):
                if element.tag == "image":
                    _read_image(element, file, source.name_of(file), found)
                else:
                    is_video = True
                    _read_track(element, f"{source.name_of(file)}, track {number}", frames, found)
            if is_video:
                _add_frames(frames, source, source.name_of(file), found)


def _labels(file: Path) -> list[str]:
    """Names of the labels, without those of the points of skeletons."""
    for meta in xml_elements(file, ("meta", "image", "track")):
        labels = meta.iter("label") if meta.tag == "meta" else ()
        return [
            label.findtext("name", "")
            for label in labels
            if label.find("name") is not None and label.find("parent") is None
        ]
    return []


def _read_image(element: Element, file: Path, name: str, found: Collector) -> None:
    item = f"{name}, image {shown(element.get('id'))} ({shown(element.get('name'))})"
    shapes = [child for child in element if child.tag not in _PASSED_OVER]
    with found.item(item, len(shapes)):
        path = found.find_picture(element.get("name"), [file.parent, file.parent / "images"])
        height, width = words_as_integers([element.get("height"), element.get("width")], "size")
        image = found.add_picture(path, annotated=(height, width), turned=True)
        read = []
        for number, shape in enumerate(shapes):
            with found.item(f"{item}, shape {number}"):
                read.append(
                    _Shape(
                        f"{item}, shape {number}",
                        shape.get("label", ""),
                        shape.get("group_id"),
                        _read_shape(shape),
                    )
                )
        _add_objects(read, image, found)


def _read_track(
    track: Element, name: str, frames: dict[int, list[_Shape]], found: Collector
) -> None:
    """Adds the shapes of a track to the frames in which it is seen."""
    for shape in track:
        item = f"{name}, frame {shown(shape.get('frame'))}"
        if shape.tag in _PASSED_OVER:
            continue
        with found.item(item):
            (frame,) = words_as_integers([shape.get("frame")], "frame")
            shapes = frames[frame]
            if shape.get("outside") != "1":
                label, group = track.get("label", ""), track.get("group_id")
                shapes.append(_Shape(item, label, group, _read_shape(shape)))


def _add_frames(
    frames: dict[int, list[_Shape]], source: Source, name: str, found: Collector
) -> None:
    """The frames that lie there as pictures, also those without objects."""
    paths: dict[int, Path] = {}
    for picture in source.pictures.pictures:
        match = _FRAME.match(picture.stem)
        if match:
            paths[int(match[1])] = picture
    for frame in sorted({*frames, *paths}):
        shapes = frames.get(frame, [])
        with found.item(f"{name}, frame {frame}", len(shapes)):
            if frame not in paths:
                raise ItemError("picture is missing", f" (frame_{frame:06d} in {source.root})")
            image = found.add_picture(source.pictures.checked(paths[frame]), turned=True)
            _add_objects(shapes, image, found)


def _add_objects(shapes: list[_Shape], image: ImageRecord, found: Collector) -> None:
    objects: dict[tuple[str, str | int], list[_Shape]] = defaultdict(list)
    for number, shape in enumerate(shapes):
        objects[shape.label, number if shape.group is None else shape.group].append(shape)
    for (label, _), parts in objects.items():
        with found.item(parts[0].name):
            found.add_object(
                image,
                label,
                parts=[s.part for s in parts],
                item=parts[0].name,
            )


def _read_shape(shape: Element) -> Part:
    if shape.tag == "polygon":
        text = shape.get("points", "")
        words = text.replace(";", ",").split(",")
        if text.count(",") != text.count(";") + 1 or len(words) % 2:
            raise ItemError("points are no pairs x,y;x,y;...", f" ({shown(text)})")
        return words_as_floats(words, "points")
    if shape.tag == "box":
        x1, y1, x2, y2, degrees = _attributes(shape, ("xtl", "ytl", "xbr", "ybr"))
        return rectangle(x1, y1, x2, y2, degrees)
    if shape.tag == "ellipse":
        x, y, rx, ry, degrees = _attributes(shape, ("cx", "cy", "rx", "ry"))
        return ellipse(x, y, rx, ry, degrees)
    if shape.tag == "mask":
        return _read_mask(shape)
    raise ItemError("shape is no region", f" ({shown(shape.tag)})")


def _attributes(shape: Element, names: tuple[str, ...]) -> list[float]:
    words = [*(shape.get(name) for name in names), shape.get("rotation", "0")]
    return words_as_floats(words, shape.tag)


def _read_mask(shape: Element) -> Bitmap:
    """Run lengths row by row within the crop, beginning with background."""
    left, top, width, height = words_as_integers(
        [shape.get(name) for name in ("left", "top", "width", "height")], "mask"
    )
    if not (0 < width <= MAX_PIXELS and 0 < height <= MAX_PIXELS // width):
        raise ItemError("mask has no pixels, or too many", f" ({height} x {width})")
    words = shape.get("rle", "").split(",")
    if len(words) > 2 * width * height + 2:
        raise ItemError("mask has more runs than pixels")
    runs = words_as_integers(words, "rle")
    if min(runs) < 0 or sum(runs) != width * height:
        raise ItemError("runs do not add up to the mask's size", f" ({height} x {width})")
    bits = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    return Bitmap(bits, left, top)
