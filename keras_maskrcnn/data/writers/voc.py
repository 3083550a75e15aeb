"""Writes Pascal VOC's folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np
from PIL import Image

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.formats.problems import ItemError, Problems
from keras_maskrcnn.data.formats.voc_palette import voc_palette
from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.data.writers.base import UNDIVIDED, Part, Writer, item_of, register
from keras_maskrcnn.data.writers.regions import leave_out
from keras_maskrcnn.outlines import Bitmap, Polygons

# Value of the border around objects, and of all that counts for nothing.
_VOID = 255


@register("voc")
class VocWriter(Writer):
    """`JPEGImages`, `SegmentationObject` and `SegmentationClass` (PNG), `Annotations` (XML).

    The classes are in `labelmap.txt`, with their colours in VOC's palette, as CVAT has it.
    Each split is a list in `ImageSets/Segmentation`. A pixel belongs to one object: where several
    overlap, to the smallest of them. Crowd regions are void (255). A picture with more than 254
    objects has a PNG of 16 bits. One whose objects all have boxes only has no PNG.
    """

    title = "Pascal VOC"
    is_turned = False
    # Lists of pictures are read up to a space.
    keeps_spaces = False

    def check_classes(self, names: Sequence[str]) -> None:
        bad = [n for n in names if n != " ".join(n.split()) or ":" in n or n.startswith("#")]
        if len(names) >= _VOID or bad or "background" in names:
            raise ValueError(
                f"Expected at most {_VOID - 1} classes for VOC's labelmap.txt, with names on one "
                "line, without ':' and '#' at the start, and none called background. "
                f"Received: {len(names)} classes, {list(bad or names)[:20]}"
            )

    def picture_folder(self, split: str) -> PurePath:
        return PurePath("JPEGImages")

    def write(self, folder: Path, parts: Sequence[Part], lost: Problems) -> None:
        names = parts[0].data.class_names
        for name in ("SegmentationObject", "SegmentationClass", "Annotations"):
            (folder / name).mkdir()
        lists = folder / "ImageSets" / "Segmentation"
        lists.mkdir(parents=True)
        colours = np.reshape(voc_palette(), (-1, 3)).tolist()
        text = "# label:color_rgb:parts:actions\n"
        for name, (red, green, blue) in zip(("background", *names), colours, strict=False):
            text += f"{name}:{red},{green},{blue}::\n"
        (folder / "labelmap.txt").write_text(text, encoding="utf-8")
        for part in parts:
            for name, record in part.pictures():
                _write_picture(folder, name, record, part.data, lost)
            lines = "".join(f"{Path(name).stem}\n" for name in part.names)
            (lists / f"{part.split or UNDIVIDED}.txt").write_text(lines, encoding="utf-8")


def _write_picture(
    folder: Path, name: str, record: ImageRecord, data: DetectionData, lost: Problems
) -> None:
    annotation = _annotation(name, record)
    masks: list[tuple[Instance, Bitmap]] = []
    crowds: list[Bitmap] = []
    boxes: list[str] = []
    for o in record.instances:
        item = item_of(name, o)
        bitmap = _bitmap(o, record)
        if o.is_crowd:
            lost.add(item, ItemError("crowd region is void"))
            crowds.append(bitmap or _box_bitmap(o))
            continue
        leave_out(o, item, lost, attributes=tuple(o.attributes))
        annotation.append(_object(o, data.class_names[o.category]))
        if bitmap is None:
            boxes.append(item)
        elif bitmap.bits.any():
            masks.append((o, bitmap))
        else:
            lost.add(item, ItemError("outline covers no pixel, so only its box is kept"))
        if bitmap is not None and isinstance(o.outline, Polygons):
            lost.add(item, ItemError("outline is drawn into pixels"))
    has_masks = bool(masks or crowds or not boxes)
    SubElement(annotation, "segmented").text = str(int(has_masks))
    indent(annotation)
    text = tostring(annotation, encoding="unicode") + "\n"
    stem = Path(name).stem
    (folder / "Annotations" / f"{stem}.xml").write_text(text, encoding="utf-8")
    if not has_masks:
        return
    for item in boxes:
        lost.add(item, ItemError("box without outline is in the XML only, beside masks"))
    ids, classes = _drawn(name, record, masks, crowds, lost)
    _save(ids, folder / "SegmentationObject" / f"{stem}.png")
    _save(classes, folder / "SegmentationClass" / f"{stem}.png")


def _bitmap(o: Instance, record: ImageRecord) -> Bitmap | None:
    if o.outline is None:
        return None
    return o.outline.to_rle(record.height, record.width).bitmap()


def _box_bitmap(o: Instance) -> Bitmap:
    """The pixels that a box touches."""
    left, top = int(o.box[0]), int(o.box[1])
    right, bottom = int(np.ceil(o.box[2])), int(np.ceil(o.box[3]))
    return Bitmap(np.ones((bottom - top, right - left), bool), left, top)


def _drawn(
    name: str,
    record: ImageRecord,
    masks: list[tuple[Instance, Bitmap]],
    crowds: list[Bitmap],
    lost: Problems,
) -> tuple[np.ndarray, np.ndarray]:
    """Objects and classes by pixel."""
    is_wide = len(masks) >= _VOID
    ids = np.zeros((record.height, record.width), np.uint16 if is_wide else np.uint8)
    classes = np.zeros((record.height, record.width), np.uint8)
    for bitmap in crowds:
        _paint(ids, bitmap, _VOID)
        _paint(classes, bitmap, _VOID)
    numbers = [k if k < _VOID else k + 1 for k in range(1, len(masks) + 1)]
    order = sorted(zip(numbers, masks, strict=True), key=lambda entry: -entry[1][1].area())
    for number, (o, bitmap) in order:
        _paint(ids, bitmap, number)
        _paint(classes, bitmap, o.category + 1)
    left = np.bincount(ids.ravel(), minlength=len(masks) + 2)
    for number, (o, bitmap) in zip(numbers, masks, strict=True):
        if not left[number]:
            lost.add(item_of(name, o), ItemError("object is left out, for others cover all of it"))
        elif left[number] < bitmap.area():
            lost.add(item_of(name, o), ItemError("object loses the pixels that smaller ones cover"))
    return ids, classes


def _paint(values: np.ndarray, bitmap: Bitmap, value: int) -> None:
    height, width = bitmap.bits.shape
    part = values[bitmap.top : bitmap.top + height, bitmap.left : bitmap.left + width]
    part[bitmap.bits] = value


def _save(values: np.ndarray, file: Path) -> None:
    picture = Image.fromarray(values)
    if values.dtype == np.uint8:
        picture.putpalette(voc_palette())
    picture.save(file)


def _annotation(name: str, record: ImageRecord) -> Element:
    annotation = Element("annotation")
    SubElement(annotation, "folder").text = "JPEGImages"
    SubElement(annotation, "filename").text = name
    size = SubElement(annotation, "size")
    for key, value in (("width", record.width), ("height", record.height), ("depth", 3)):
        SubElement(size, key).text = str(value)
    return annotation


def _object(o: Instance, label: str) -> Element:
    """Pixels are counted from 1, and the last one is part of the box."""
    element = Element("object")
    SubElement(element, "name").text = label
    for key in ("truncated", "difficult"):
        SubElement(element, key).text = "0"
    box = SubElement(element, "bndbox")
    x1, y1, x2, y2 = map(float, o.box)
    for key, value in zip(("xmin", "ymin", "xmax", "ymax"), (x1 + 1, y1 + 1, x2, y2), strict=True):
        SubElement(box, key).text = str(int(value)) if value.is_integer() else repr(value)
    return element
