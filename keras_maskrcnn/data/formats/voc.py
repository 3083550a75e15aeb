"""Reads Pascal VOC's folders, and CVAT's "Segmentation mask" export, which is like them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from keras_maskrcnn.data.formats.collector import Collector
from keras_maskrcnn.data.formats.embedded import colour_file, mask_file
from keras_maskrcnn.data.formats.id_masks import fitted, masks_of
from keras_maskrcnn.data.formats.picture_tree import PictureTree
from keras_maskrcnn.data.formats.problems import ItemError, shown
from keras_maskrcnn.data.formats.reader import FORMATS, Reader
from keras_maskrcnn.data.formats.source import Source
from keras_maskrcnn.data.formats.text_file import read_lines
from keras_maskrcnn.data.formats.voc_palette import voc_palette
from keras_maskrcnn.data.formats.words import words_as_floats, words_as_integers
from keras_maskrcnn.data.formats.xml_file import xml_elements
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.outlines.base import Box

_OBJECTS, _CLASSES, _BOXES = "SegmentationObject", "SegmentationClass", "Annotations"
# Value 255 of the palette is the border around objects; as a colour, it is this.
_VOID, _VOID_COLOUR = 255, 0xE0E0C0
_NAMES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)


@FORMATS.register("voc")
class Voc(Reader):
    """`SegmentationObject` (ids) and `SegmentationClass` (classes) as PNG, `Annotations` as XML.

    Where a picture has masks, these are its objects; else the boxes of its XML, which count pixels
    from 1 and include the last. The classes are those of `labelmap.txt` (by colour), of
    `class_names.txt` (by value), or VOC's own 20.
    """

    title = "Pascal VOC"

    def finds(self, source: Source) -> bool:
        folders = {file.parent.name for file in source.files}
        has_boxes = any(re.search(r"<annotation[\s>]", head) for head in source.heads(".xml"))
        return _OBJECTS in folders or (has_boxes and source.path.is_dir())

    def splits(self, source: Source) -> dict[str, Source]:
        return {name: source.part(source.path, name) for name in _split_files(source)}

    def read(self, source: Source, found: Collector) -> None:
        masks, boxes = _stems(source, _OBJECTS, ".png"), _stems(source, _BOXES, ".xml")
        classes = _stems(source, _CLASSES, ".png")
        kinds = (_OBJECTS, _CLASSES)
        pictures = [f for f in source.pictures.pictures if not set(kinds) & set(f.parts)]
        tree = PictureTree(source.root, pictures)
        names = _class_names(source) if masks else None
        if names is not None:
            found.declare_classes(list(dict.fromkeys(names.values())))
        is_coloured = masks and any(f.name == "labelmap.txt" for f in source.files)
        wanted = sorted({*masks, *boxes})
        if source.split is not None:
            lines = read_lines(_split_files(source)[source.split])
            wanted = [line.split()[0] for line in lines if line.strip()]
        for stem in wanted:
            with found.item(stem):
                image = found.picture(tree.with_stem(tuple(stem.split("/"))))
                if stem in masks and names is not None:
                    _add_masks(
                        masks[stem], classes.get(stem), image, names, bool(is_coloured), found
                    )
                elif stem in boxes:
                    _add_boxes(boxes[stem], stem, image, found)
                else:
                    raise ItemError("picture has neither masks nor boxes")


def _stems(source: Source, folder: str, suffix: str) -> dict[str, Path]:
    """Files by their path below a folder of that name, without suffix."""
    result = {}
    for file in source.with_suffix(suffix):
        parts = file.relative_to(source.path).parts if source.path.is_dir() else ()
        if folder in parts[:-1]:
            inner = parts[parts.index(folder) + 1 :]
            result["/".join((*inner[:-1], file.stem))] = file
    return result


def _split_files(source: Source) -> dict[str, Path]:
    """Lists of pictures: those of segmentation or, without any, of detection."""
    for kind in ("Segmentation", "Main"):
        files = {
            file.stem: file
            for file in source.with_suffix(".txt")
            if file.parts[-3:-1] == ("ImageSets", kind) and "_" not in file.stem
        }
        if files:
            return files
    return {}


def _class_names(source: Source) -> Mapping[int, str]:
    """Names of the classes by value of `SegmentationClass`, or by colour."""
    files = {file.name: file for file in source.with_suffix(".txt")}
    if "labelmap.txt" in files:
        return _labelmap(read_lines(files["labelmap.txt"]))
    if "class_names.txt" in files:
        lines = read_lines(files["class_names.txt"])
        lines = [line.strip() for line in lines if line.strip() and line.strip() != "__ignore__"]
        return dict(enumerate(lines[1:], 1))  # The first is the background.
    return dict(enumerate(_NAMES, 1))


def _labelmap(lines: Iterable[str]) -> dict[int, str]:
    """Names by colour, as CVAT and datumaro write them; the latter may leave out colours, and means
    those of VOC in their order."""
    matches = (
        re.match(r"([^#:][^:]*):(?:(\d{1,3}),(\d{1,3}),(\d{1,3}))?:", line) for line in lines
    )
    names, palette = {}, voc_palette()
    for place, match in enumerate(match for match in matches if match):
        own = palette[3 * place : 3 * place + 3]
        red, green, blue = own if match[2] is None else map(int, match.groups()[1:])
        if match[1] != "background":
            names[red << 16 | green << 8 | blue] = match[1]
    return names


def _add_masks(
    objects: Path,
    classes: Path | None,
    image: ImageRecord,
    names: Mapping[int, str],
    is_coloured: bool,
    found: Collector,
) -> None:
    if classes is None:
        raise ItemError(f"picture has no file in {_CLASSES}")
    ids = mask_file(objects)
    void = _VOID
    if ids.ndim == 3:
        ids, void = colour_file(objects), _VOID_COLOUR
    labels = colour_file(classes) if is_coloured else mask_file(classes)
    image = fitted(image, ids, found)
    image = fitted(image, labels, found)
    if labels.ndim == 3:
        raise ItemError(f"{_CLASSES} has colours, but there is no labelmap.txt")
    found.add_record(image)
    no_class = (0, _VOID_COLOUR if is_coloured else _VOID)
    for number, mask in masks_of(ids, (0, void)):
        with found.item(f"{objects.parent.name}/{objects.name}, object {number}"):
            rows, columns = mask.bits.shape
            inner = labels[mask.top : mask.top + rows, mask.left : mask.left + columns][mask.bits]
            values, counts = np.unique(inner[~np.isin(inner, no_class)], return_counts=True)
            if not values.size:
                raise ItemError(f"object has no class in {_CLASSES}")
            value = int(values[counts.argmax()])
            if value not in names:
                raise ItemError("unknown class", f" ({f'{value:#x}' if is_coloured else value})")
            found.add_object(image, names[value], parts=[mask])


def _add_boxes(file: Path, stem: str, image: ImageRecord, found: Collector) -> None:
    try:
        elements = list(xml_elements(file, ("size", "object")))
    except ValueError as error:
        raise ItemError("boxes cannot be read", f" ({error})") from None
    size = _annotated_size([element for element in elements if element.tag == "size"])
    image = found.add_record(image if size is None else found.annotated(image, size))
    objects = [element for element in elements if element.tag == "object"]
    for number, element in enumerate(objects):
        with found.item(f"{stem}, object {number}"):
            found.add_object(image, element.findtext("name", "").strip(), box=_box(element))


def _annotated_size(sizes: list[Element]) -> tuple[int, int] | None:
    """Height and width; None where tools left it out, or wrote zeros."""
    words = [sizes[0].findtext(name) for name in ("height", "width")] if sizes else []
    if not words or {"0", None} & set(words):
        return None
    height, width = words_as_integers(words, "size")
    return height, width


def _box(element: Element) -> Box:
    box = element.find("bndbox")
    if box is None:
        raise ItemError("object has no bndbox", f" ({shown(element.findtext('name'))})")
    words = [box.findtext(name) for name in ("xmin", "ymin", "xmax", "ymax")]
    x1, y1, x2, y2 = words_as_floats(words, "bndbox")
    return x1 - 1, y1 - 1, x2, y2
