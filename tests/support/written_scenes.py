"""A data set with the awkward objects that writers of annotation formats meet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from format_files import save_picture

from keras_maskrcnn.data import DetectionData, ImageRecord, Instance
from keras_maskrcnn.outlines import Bitmap, Outline, Polygons

CLASSES = ["red fig", "Birne ä"]
SIZES = {"ü b c.jpg": (60, 80), "empty.png": (20, 30), "d.JPG": (33, 47)}

TRIANGLE = [10.25, 10.5, 30.5, 12.1234567890123, 20.0, 25.75]
TWO_PARTS = [[40.5, 2.0, 50.0, 2.0, 50.0, 9.5], [60.0, 3.0, 70.0, 3.0, 65.0, 11.0]]
PIXEL = [5.0, 40.0, 6.0, 40.0, 6.0, 41.0, 5.0, 41.0]
BORDER = [0.0, 0.0, 47.0, 0.0, 47.0, 5.5, 0.0, 3.25]


def ring(x1: float, y1: float, x2: float, y2: float) -> np.ndarray:
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])


def with_hole() -> Polygons:
    return Polygons.from_loops([[ring(35, 20, 55, 40), ring(40, 25, 50, 34)]])


def pieces() -> Bitmap:
    """Two pieces, one of them with a hole."""
    bits = np.zeros((12, 20), bool)
    bits[:, :8] = True
    bits[3:6, 2:5] = False
    bits[4:9, 12:] = True
    return Bitmap(bits, 58, 42)


def instance(
    key: int, outline: Outline | None, category: int = 0, box: Any = None, **more: Any
) -> Instance:
    box = box or (outline.bounds() if outline is not None else None)
    area = outline.area() if outline is not None else 1.0
    return Instance(category, box, outline, more.pop("is_crowd", False), area, key, **more)


def plain_objects() -> dict[str, list[Instance]]:
    """Objects that every format can hold, by picture; none overlaps another."""
    return {
        "ü b c.jpg": [
            instance(1, Polygons([TRIANGLE])),
            instance(2, Polygons(TWO_PARTS), 1),
            instance(3, with_hole()),
            instance(4, pieces().to_rle(60, 80), 1),
            instance(5, Bitmap(np.ones((1, 1), bool), 79, 59).to_rle(60, 80)),
            instance(6, Polygons([PIXEL])),
        ],
        "empty.png": [],
        "d.JPG": [
            instance(7, Polygons([BORDER]), 1),
            instance(8, Bitmap(np.ones((10, 7), bool), 0, 23)),
        ],
    }


def make_dataset(
    folder: Path, objects: dict[str, list[Instance]] | None = None, **more: Any
) -> DetectionData:
    """The pictures and objects; `more` as in `DetectionData`."""
    objects = plain_objects() if objects is None else objects
    records = [
        ImageRecord(
            number, str(save_picture(folder / name, *SIZES[name])), *SIZES[name], tuple(instances)
        )
        for number, (name, instances) in enumerate(objects.items(), 10)
    ]
    return DetectionData(records, list(CLASSES), [3, 7], name="awkward", **more)
