"""Annotations from a file of results in COCO's format."""

from __future__ import annotations

import dataclasses
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from keras_maskrcnn.checks import fraction, one_of
from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.formats.checks import (
    check_box,
    check_entry,
    check_integer,
    check_numbers,
    finite_floats,
)
from keras_maskrcnn.data.formats.collector import Collector
from keras_maskrcnn.data.formats.outlines import check_outline
from keras_maskrcnn.data.formats.picture_tree import PictureTree
from keras_maskrcnn.data.formats.problems import ItemError, shown
from keras_maskrcnn.data.formats.reader import Reader, run_reader
from keras_maskrcnn.data.formats.source import Source
from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.data.writers.base import SCORE
from keras_maskrcnn.names import ORDERS
from keras_maskrcnn.outlines import Outline, Polygons
from keras_maskrcnn.preannotations.ordering import places_in_order


def results_to_data(
    file: str | os.PathLike[str],
    *,
    data: DetectionData | None = None,
    image_dir: str | os.PathLike[str] | None = None,
    threshold: float = 0.5,
    order: str = "given",
    on_error: str = "warn",
) -> DetectionData:
    """Makes annotations of results that are already there, for `save_dataset`.

    Masks become polygons, which every tool lets people edit. Each object has its score as the
    attribute `score`; keypoints count as visible.

    Args:
        file: a JSON list in COCO's results format: `predictions.json` of `maskrcnn predict`, or
            `segm.json` and its like of `maskrcnn evaluate --save-results`.
        data: the data set whose `image_id` and `category_id` the results have; all its pictures
            are taken, and none of its objects.
        image_dir: instead, the folder of the pictures, of which all are taken; results name theirs
            by `file_name` and their class by `category_name`, as `maskrcnn predict` writes them.
        threshold: lowest score that is kept.
        order: `"given"`, or `"uncertainty"` for the most uncertain pictures first, by the scores
            of all objects of the file; see `uncertainty`.
        on_error: as in `load_dataset`.

    Returns:
        All pictures, also those without objects.

    Raises:
        ValueError: if the file is no such list, not one of `data` and `image_dir` is given, an
            argument is out of range, no picture can be used, or with `on_error="raise"` any result
            cannot be used.
    """
    fraction(threshold=threshold)
    one_of("order", order, ORDERS)
    if (data is None) == (image_dir is None):
        raise ValueError(
            f"Expected either data or image_dir. Received: data={data!r}, image_dir={image_dir!r}"
        )
    if image_dir is not None and not Path(image_dir).is_dir():
        raise ValueError(
            f"Expected image_dir to be a folder. Received: image_dir={str(image_dir)!r}"
        )
    # A data set knows its pictures.
    tree = PictureTree(Path(image_dir)) if image_dir is not None else PictureTree(Path(), ())
    reader = _Results(data, tree, threshold)
    read = run_reader(reader, Source(Path(file)), find=tree.find, on_error=on_error)
    scores = [reader.scores[record.image_id] for record in read.records]
    places = places_in_order(scores, order)
    return dataclasses.replace(read, records=[read.records[place] for place in places])


class _Results(Reader):
    """Results of one file; no format of data sets, so that none is trained on by mistake."""

    title = "COCO results"

    def __init__(self, data: DetectionData | None, tree: PictureTree, threshold: float) -> None:
        self._data, self._tree, self._threshold = data, tree, threshold
        # Of each picture, all scores that the file has.
        self.scores: dict[int, list[float]] = defaultdict(list)

    def finds(self, source: Source) -> bool:
        return False

    def read(self, source: Source, found: Collector) -> None:
        entries = source.json(source.path)
        if not isinstance(entries, list):
            raise ValueError(
                f"{source.path}: expected a JSON list of results. Received: {shown(entries)}"
            )
        records = self._add_pictures(found)
        joints: set[int] = set()
        for number, value in enumerate(entries):
            with found.item(f"result {number}"):
                entry = check_entry(value)
                record = records.get(self._picture(entry, found))
                if record is None:
                    raise ItemError("its picture cannot be used")
                score = _score(entry.get("score"))
                self.scores[record.image_id].append(score)
                if score >= self._threshold:
                    instance = _instance(entry, number + 1, self._label(entry), record, found)
                    found.add_instance(record, instance)
                    if instance.keypoints is not None:
                        joints.add(len(instance.keypoints))
        if len(joints) > 1:
            raise ValueError(
                f"{source.path}: expected as many keypoints in each result. Received: {joints}"
            )
        names = self._data.keypoint_names if self._data else []
        if joints and len(names) not in joints:
            names = [f"keypoint_{j}" for j in range(joints.pop())]
        found.declare_keypoints(list(names), [])

    def _add_pictures(self, found: Collector) -> dict[Any, ImageRecord]:
        """By what results call them: id, or path."""
        if self._data is not None:
            found.declare_classes(self._data.class_names, self._data.category_ids)
            return {
                record.image_id: found.add_record(dataclasses.replace(record, instances=()))
                for record in self._data.records
            }
        records = {}
        for picture in self._tree.pictures:
            with found.item(str(picture)):
                path = self._tree.checked(picture)
                records[path] = found.add_picture(path)
        return records

    def _picture(self, entry: dict[str, Any], found: Collector) -> int | str:
        if self._data is not None:
            return check_integer(entry, "image_id")
        return found.find_picture(entry.get("file_name"))

    def _label(self, entry: dict[str, Any]) -> Any:
        if self._data is None:
            return entry.get("category_name")
        key = check_integer(entry, "category_id")
        if key not in self._data.category_ids:
            raise ItemError("unknown category id", f" {key}")
        return self._data.class_names[self._data.category_ids.index(key)]


def _score(value: Any) -> float:
    numbers = finite_floats([value])
    if numbers is None or not 0 <= numbers[0] <= 1:
        raise ItemError("score is no number in 0..1", f" ({shown(value)})")
    return numbers[0]


def _instance(
    entry: dict[str, Any], key: int, label: Any, record: ImageRecord, found: Collector
) -> Instance:
    frame = (0.0, 0.0, float(record.width), float(record.height))
    box = check_box(entry["bbox"], record) if "bbox" in entry else None
    outline, bad_parts = check_outline(entry.get("segmentation"), box or frame, record)
    for part, problem in bad_parts:
        found.problems.add(f"result {key - 1}, part {part}", problem)
    if box is None and outline is not None:
        x1, y1, x2, y2 = outline.bounds()
        box = check_box([x1, y1, x2 - x1, y2 - y1], record)
    if box is None:
        raise ItemError("object has neither outline nor box")
    if outline is not None:
        outline = _polygons(outline, record)
    area = outline.area() if outline is not None else (box[2] - box[0]) * (box[3] - box[1])
    return Instance(
        category=found.category(label),
        box=box,
        outline=outline,
        is_crowd=False,
        annotated_area=area,
        annotation_id=key,
        keypoints=_keypoints(entry.get("keypoints")),
        attributes={SCORE: float(entry["score"])},
    )


def _polygons(outline: Outline, record: ImageRecord) -> Outline:
    """A mask as polygons that people can edit."""
    # Only needed for masks.
    from keras_maskrcnn.outlines.tracing import crop_polygons

    if isinstance(outline, Polygons):
        return outline
    size = record.height, record.width
    bitmap = outline.to_rle(*size).bitmap()
    bits = bitmap.bits.astype(np.float32)
    return Polygons(crop_polygons(bits, bitmap.left, bitmap.top, size))


def _keypoints(value: Any) -> np.ndarray | None:
    """x, y and score in turn, which are half a pixel less than continuous ones; see `to_coco`."""
    if not value:
        return None
    numbers = check_numbers(value, "keypoints")
    if len(numbers) % 3:
        raise ItemError("keypoints are not triples of numbers")
    points = np.array(numbers, np.float32).reshape(-1, 3)
    points[:, :2] += 0.5
    points[:, 2] = 2
    return points
