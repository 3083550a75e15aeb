"""Small data sets that lack nothing, and can be given one fault each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_maskrcnn.data import DetectionData, ImageRecord, Instance
from keras_maskrcnn.doctor import Report, validate
from keras_maskrcnn.images.input_size import InputSize
from keras_maskrcnn.outlines import Polygons

HEIGHT, WIDTH = 60, 80
SIZE = InputSize(min_size=HEIGHT, max_size=1000)
# As wide as an anchor and as high.
SQUARE = (10.0, 10.0, 42.0, 42.0)


def pixels(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Coloured cells of 10 pixels, other ones for each seed."""
    cells = np.random.default_rng(seed).integers(0, 256, (-(-height // 10), -(-width // 10), 3))
    return cells.astype(np.uint8).repeat(10, axis=0).repeat(10, axis=1)[:height, :width]


def save(path: Path, image: np.ndarray, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **options)
    return path


def loop(box: Sequence[float]) -> list[float]:
    """A rectangle as a polygon."""
    x1, y1, x2, y2 = box
    return [x1, y1, x2, y1, x2, y2, x1, y2]


def thing(
    key: int,
    box: Sequence[float] = SQUARE,
    outline: Any = "box",
    category: int = 0,
    is_crowd: bool = False,
) -> Instance:
    """An object; its outline is that of its box, a list of polygons, an `Outline` or None."""
    if outline == "box":
        outline = [loop(box)]
    made = Polygons(outline) if isinstance(outline, list) else outline
    area = float((box[2] - box[0]) * (box[3] - box[1]))
    return Instance(category, tuple(map(float, box)), made, is_crowd, area, key)


def record(
    key: int, path: Path, things: Sequence[Instance] = (), size: tuple[int, int] = (HEIGHT, WIDTH)
) -> ImageRecord:
    return ImageRecord(key, str(path), *size, tuple(things))


def data_of(records: Sequence[ImageRecord], classes: Sequence[str] = ("cat",)) -> DetectionData:
    ids = list(range(1, len(classes) + 1))
    return DetectionData(list(records), list(classes), ids, name="data")


def sound(folder: Path, first: int = 0, classes: Sequence[str] = ("cat",)) -> list[ImageRecord]:
    """Ten pictures with an object of each class: nothing to find."""
    records = []
    for key in range(first, first + 10):
        path = save(folder / f"{key}.png", pixels(key))
        things = [
            thing(100 * key + k, np.add(SQUARE, (0, 0, 4 * k, 4 * k)), category=k)
            for k in range(len(classes))
        ]
        records.append(record(key, path, things))
    return records


def examined(data: Any, **options: Any) -> Report:
    return validate(data, input_size=options.pop("input_size", SIZE), verbose=False, **options)


def findings(report: Report, kind: str) -> list[Any]:
    return [finding for finding in report.findings if finding.kind == kind]
