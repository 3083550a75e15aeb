"""Data with all that a record can hold, and comparison of records to the last digit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from written_scenes import CLASSES, instance, pieces, ring, with_hole

from keras_maskrcnn.data import DetectionData, ImageRecord, Instance
from keras_maskrcnn.outlines import RLE, Bitmap, Polygons

KEYPOINTS = ["left_tip", "right_tip", "stem"]


def awkward_data(folder: Path) -> DetectionData:
    """Outlines of every kind, crowds, keypoints, attributes, a picture of 16 bits and two without
    objects, of which one has an EXIF orientation."""
    folder.mkdir()
    points = np.array([[5.5, 6.25, 2], [0, 0, 0], [7.1, 8.9, 1]], np.float32)
    code = pieces().to_rle(60, 80)
    text = code.counts.decode() if isinstance(code.counts, bytes) else code.counts
    objects = [
        instance(7, Polygons([[10.25, 10.5, 30.5, 12.1234567890123, 20.0, 25.75]])),
        instance(3, Polygons([ring(1, 1, 9.1, 8).ravel().tolist(), [2, 2, 20, 2, 20, 14]]), 1),
        instance(4, with_hole(), keypoints=points),
        instance(5, code, 1, attributes={"ripe": 1, "weight": 0.1}),
        instance(6, RLE((60, 80), text), is_crowd=True),
        instance(8, RLE((60, 80), [5, 3, 4792]), is_crowd=True),
        instance(
            9, Bitmap(np.tril(np.ones((9, 5), bool)), 20, 30), keypoints=points * (1.0, 1 / 3, 1.0)
        ),
        instance(10, Bitmap(np.eye(6, dtype=bool), -2, -3), box=(0.0, 0.0, 4.0, 3.0)),
        Instance(1, (50.5, 45.0, 70.0, 58.25), None, False, None, 11),
        instance(12, code.transform(np.array([[-1.0, 0, 80], [0, 1, 0]]))),
    ]
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "ü b.jpg")
    Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30)).save(folder / "deep.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(folder / "turned.jpg", exif=exif)
    records = [
        ImageRecord(40, str(folder / "ü b.jpg"), 60, 80, tuple(objects)),
        ImageRecord(-3, str(folder / "deep.png"), 20, 30),
        ImageRecord(2**60, str(folder / "turned.jpg"), 80, 60),
    ]
    pairs = [(0, 1)]
    return DetectionData(records, list(CLASSES), [9, 2], list(KEYPOINTS), pairs, name="awkward")


def noise_data(folder: Path, count: int, side: int = 24) -> DetectionData:
    """Tiny pictures with an object each, of various shapes."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    records = []
    for number in range(count):
        height, width = side, side + 4 * (number % 3) - 4
        path = folder / f"{number:03}.png"
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(path)
        triangle = Polygons([[2, 3, 15, 4, 9 + number % 5, 16.5]])
        objects = () if number % 7 == 3 else (instance(number + 1, triangle, number % 2),)
        records.append(ImageRecord(100 + number, str(path), height, width, objects))
    return DetectionData(records, list(CLASSES), [1, 2], name="noise")


def contents(data: DetectionData) -> list[Any]:
    """All that records hold, but where their pictures lie, as plain values."""
    return [
        (r.image_id, r.height, r.width, [_content(o, r) for o in r.instances]) for r in data.records
    ]


def _content(o: Instance, record: ImageRecord) -> Any:
    outline: Any = None
    if isinstance(o.outline, Polygons):
        outline = [[loop.tolist() for loop in group] for group in o.outline.groups]
    elif isinstance(o.outline, Bitmap):
        outline = o.outline.bits.tolist(), o.outline.left, o.outline.top
    elif o.outline is not None:
        counts = o.outline.to_rle(record.height, record.width).counts
        outline = counts.decode() if isinstance(counts, bytes) else counts
    points = None if o.keypoints is None else (o.keypoints.dtype, o.keypoints.tolist())
    plain = (o.category, o.box, o.is_crowd, o.annotated_area, o.annotation_id, dict(o.attributes))
    return *plain, type(o.outline).__name__.replace("Turned", "RLE"), outline, points
