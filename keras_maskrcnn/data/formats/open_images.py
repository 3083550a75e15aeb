"""Reads Open Images' tables of masks."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from keras_maskrcnn.data.formats.collector import Collector
from keras_maskrcnn.data.formats.embedded import mask_bits, mask_file
from keras_maskrcnn.data.formats.problems import ItemError, shown
from keras_maskrcnn.data.formats.reader import FORMATS, Reader
from keras_maskrcnn.data.formats.source import Source
from keras_maskrcnn.data.formats.words import words_as_floats
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.outlines import Bitmap

_MASK, _GROUP = "MaskPath", "IsGroupOf"


@FORMATS.register("open_images")
class OpenImages(Reader):
    """`*-annotations-object-segmentation.csv`, and a PNG for each object.

    A mask of another size than its picture is stretched to it. Of a table of boxes, those of
    groups are crowd regions; others, which mostly are of objects that have a mask, are passed
    over. A table without head (`/m/011k07,Tortoise`) names the classes.
    """

    title = "Open Images"

    def finds(self, source: Source) -> bool:
        return any(_MASK in head for head in source.heads(".csv"))

    def splits(self, source: Source) -> dict[str, Source]:
        tables = [file for file in source.with_suffix(".csv") if _MASK in _head(file)]
        names = sorted({_prefix(table) for table in tables})
        if len(names) < 2 or not source.path.is_dir():
            return {}
        return {name: source.part(source.path, name) for name in names}

    def read(self, source: Source, found: Collector) -> None:
        base = Source(source.root) if source.path.is_file() else source
        tables = [file for file in base.with_suffix(".csv") if file.is_file()]
        names = _class_names(tables)
        of_split = [t for t in tables if source.split in (None, _prefix(t))]
        masks = [t for t in of_split if _MASK in _head(t)]
        if source.path.is_file():
            masks = [source.path]
        files = {file.name: file for file in base.with_suffix(".png")}
        images: dict[str, ImageRecord | None] = {}
        lost: dict[str, int] = defaultdict(int)
        labels = set()
        for item, row in _rows(masks, source):
            with found.item(item):
                image = _image(row, images, lost, found)
                if image is None:
                    continue
                labels.add(row.get("LabelName"))
                file = files.get(Path(row.get(_MASK) or "").name)
                if file is None:
                    raise ItemError("mask is missing", f" ({shown(row.get(_MASK))})")
                bits = mask_bits(mask_file(Path(source.pictures.checked(file))))
                mask = Bitmap(_stretched(bits, image.height, image.width))
                found.add_object(image, _name(row, names), parts=[mask])
        boxes = [t for t in of_split if _GROUP in _head(t)]
        for item, row in _rows(boxes, source):
            image = images.get(row.get("ImageID") or "")
            if image is not None and row.get(_GROUP) == "1" and row.get("LabelName") in labels:
                with found.item(item):
                    words = [row.get(key) for key in ("XMin", "YMin", "XMax", "YMax")]
                    x1, y1, x2, y2 = words_as_floats(words, "box")
                    w, h = image.width, image.height
                    box = (x1 * w, y1 * h, x2 * w, y2 * h)
                    found.add_object(image, _name(row, names), box=box, is_crowd=True)
        for key, count in lost.items():
            found.problems.extend(f"picture {shown(key)}", f", and with it its {count} annotations")


def _head(file: Path) -> str:
    with open(file, encoding="utf-8", errors="replace") as stream:
        return stream.readline(4096)


def _prefix(file: Path) -> str:
    """`train` of `train-annotations-object-segmentation.csv`."""
    return file.name.partition("-")[0]


def _rows(tables: list[Path], source: Source) -> Iterator[tuple[str, dict[str, str | None]]]:
    for table in tables:
        name = table.relative_to(source.root) if table.is_relative_to(source.root) else table
        with _csv_errors(table), open(table, newline="", encoding="utf-8-sig") as stream:
            for number, row in enumerate(csv.DictReader(stream), 2):
                yield f"{name}, line {number}", row


def _class_names(tables: list[Path]) -> dict[str, str]:
    names = {}
    for table in tables:
        if _head(table).startswith("/m/"):
            with (
                _csv_errors(table),
                open(table, newline="", encoding="utf-8", errors="replace") as stream,
            ):
                names.update({row[0]: row[1] for row in csv.reader(stream) if len(row) == 2})
    return names


@contextmanager
def _csv_errors(table: Path) -> Iterator[None]:
    """`ValueError` that names the table, for what is wrong with it."""
    try:
        yield
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{table} is not a valid CSV file: {error}") from None


def _name(row: dict[str, str | None], names: dict[str, str]) -> str | None:
    label = row.get("LabelName")
    return names.get(label or "", label)


def _image(
    row: dict[str, str | None],
    images: dict[str, ImageRecord | None],
    lost: dict[str, int],
    found: Collector,
) -> ImageRecord | None:
    """The picture of a row; None, and counted, where it cannot be used."""
    key = row.get("ImageID") or ""
    if key not in images:
        images[key] = None
        with found.item(f"picture {shown(key)}"):
            images[key] = found.add_picture(found.find_picture(f"{key}.jpg"))
    if images[key] is None:
        lost[key] += 1
    return images[key]


def _stretched(bits: np.ndarray, height: int, width: int) -> np.ndarray:
    """By the nearest pixel."""
    if bits.shape == (height, width):
        return bits
    rows = ((np.arange(height) + 0.5) * bits.shape[0] / height).astype(np.int64)
    columns = ((np.arange(width) + 0.5) * bits.shape[1] / width).astype(np.int64)
    return bits[rows][:, columns]
