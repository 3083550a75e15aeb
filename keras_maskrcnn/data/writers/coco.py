"""Writes COCO's annotation JSON: with its pictures, or alone."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.formats.problems import ItemError, Problems
from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.data.writers.base import UNDIVIDED, Part, Writer, item_of, register
from keras_maskrcnn.data.writers.regions import region_of
from keras_maskrcnn.outlines import Bitmap


def write_coco(
    data: DetectionData, file: str | os.PathLike[str], root: str | os.PathLike[str]
) -> Problems:
    """Writes a COCO file alone; `load_coco(file, root)` reads it. Pictures stay where they are.

    Args:
        data: the pictures and their objects, whose ids stay as `CocoWriter` says.
        file: what is written; it must not be there, and its folder must.
        root: folder to which the names of pictures are relative.

    Returns:
        What was changed, such as a hole that is joined to its outline.

    Raises:
        FileExistsError: if there is such a file.
        OSError: if it cannot be written.
    """
    names = [Path(os.path.relpath(record.path, root)).as_posix() for record in data.records]
    lost = Problems(Path(file))
    _write_file(Path(file), Part("", data, names), lost)
    return lost


@register("coco")
class CocoWriter(Writer):
    """`annotations/instances_train.json` with the pictures in `train/`, as COCO's own.

    Ids stay as they were where each is there once (those of classes: in the classes' order).
    Attributes, such as the score of an object that a model found, are `attributes` of the
    annotation, where CVAT and its like keep them.
    """

    title = "COCO JSON"
    is_turned = False

    def picture_folder(self, split: str) -> PurePath:
        return PurePath(split or UNDIVIDED)

    def write(self, folder: Path, parts: Sequence[Part], lost: Problems) -> None:
        place = folder / "annotations"
        place.mkdir()
        for part in parts:
            _write_file(place / f"instances_{part.split or UNDIVIDED}.json", part, lost)


def _write_file(file: Path, part: Part, lost: Problems) -> None:
    text = json.dumps(_content(part, lost), ensure_ascii=False)
    # What no UTF-8 holds, such as bytes of a picture's name that are none, JSON writes so too.
    with open(file, "x", encoding="utf-8", errors="backslashreplace") as stream:
        stream.write(text + "\n")


def _content(part: Part, lost: Problems) -> dict[str, Any]:
    data = part.data
    ids = list(data.category_ids)
    if ids != sorted(set(ids)):
        ids = list(range(1, len(ids) + 1))
        lost.add(part.split or data.name, ItemError("category ids are counted from 1 in new order"))
    objects = [o.annotation_id for record in data.records for o in record.instances]
    keeps_objects = len(set(objects)) == len(objects)
    keeps_images = len({record.image_id for record in data.records}) == len(data.records)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for place, (name, record) in enumerate(part.pictures(), 1):
        image_id = record.image_id if keeps_images else place
        images.append(
            {"id": image_id, "file_name": name, "height": record.height, "width": record.width}
        )
        for o in record.instances:
            key = o.annotation_id if keeps_objects else len(annotations) + 1
            annotations.append(
                {
                    "id": key,
                    "image_id": image_id,
                    "category_id": ids[o.category],
                    **_annotation(o, record, item_of(name, o), lost),
                }
            )
    return {"images": images, "annotations": annotations, "categories": _categories(data, ids)}


def _annotation(o: Instance, record: ImageRecord, item: str, lost: Problems) -> dict[str, Any]:
    x1, y1, x2, y2 = map(float, o.box)
    entry: dict[str, Any] = {
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": float(o.area),
        "iscrowd": int(o.is_crowd),
        "segmentation": [],
    }
    region = region_of(o, record, item, lost)
    if isinstance(region, Bitmap):
        entry["segmentation"] = region.to_coco(record.height, record.width)
    elif region is not None:
        entry["segmentation"] = region
    if o.keypoints is not None:
        # Back to whole pixels that are counted from 0; what is not labelled stays 0, 0.
        seen = o.keypoints[:, 2:] > 0
        points = o.keypoints.astype(float) - (0.5, 0.5, 0.0) * seen
        entry["keypoints"] = points.ravel().tolist()
        entry["num_keypoints"] = int(seen.sum())
    if o.attributes:
        entry["attributes"] = dict(o.attributes)
    return entry


def _categories(data: DetectionData, ids: Sequence[int]) -> list[dict[str, Any]]:
    """The classes; those whose objects have keypoints name them, all where none has any."""
    named = {
        o.category for record in data.records for o in record.instances if o.keypoints is not None
    } or set(range(len(ids)))
    categories: list[dict[str, Any]] = []
    for index, (key, name) in enumerate(zip(ids, data.class_names, strict=True)):
        categories.append({"id": key, "name": name})
        if data.keypoint_names and index in named:
            categories[-1]["keypoints"] = list(data.keypoint_names)
            categories[-1]["skeleton"] = []
    return categories
