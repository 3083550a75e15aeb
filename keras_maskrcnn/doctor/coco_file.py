"""Writes data as a COCO file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from keras_maskrcnn.data.records import DetectionData, Instance


def write_coco_file(data: DetectionData, file: Path, root: Path) -> None:
    """Writes a COCO file that `load_coco(file, root)` reads back to the same data.

    Args:
        data: the pictures and their objects.
        file: what is written; it must not be there.
        root: folder to which picture names are relative.

    Raises:
        FileExistsError: if there is such a file.
        OSError: if it cannot be written.
    """
    categories: list[dict[str, Any]] = [
        {"id": key, "name": name}
        for key, name in zip(data.category_ids, data.class_names, strict=True)
    ]
    if data.keypoint_names:
        for category in categories:
            category["keypoints"] = data.keypoint_names
    images, annotations = [], []
    for record in data.records:
        images.append(
            {
                "id": record.image_id,
                "file_name": Path(os.path.relpath(record.path, root)).as_posix(),
                "height": record.height,
                "width": record.width,
            }
        )
        for instance in record.instances:
            annotation = _annotation(instance, (record.height, record.width))
            category_id = data.category_ids[instance.category]
            annotations.append(
                {**annotation, "image_id": record.image_id, "category_id": category_id}
            )
    content = {"images": images, "annotations": annotations, "categories": categories}
    with open(file, "x", encoding="utf-8") as stream:
        json.dump(content, stream)


def _annotation(instance: Instance, size: tuple[int, int]) -> dict[str, Any]:
    x1, y1, x2, y2 = (float(value) for value in instance.box)
    annotation: dict[str, Any] = {
        "id": instance.annotation_id,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": float(instance.area),
        "iscrowd": int(instance.is_crowd),
    }
    if instance.outline is not None:
        outline = instance.outline.to_coco(*size)
        if isinstance(outline, dict):
            counts = outline["counts"]
            outline = {
                **outline,
                "counts": counts.decode() if isinstance(counts, bytes) else counts,
            }
        annotation["segmentation"] = outline
    if instance.keypoints is not None:
        # COCO counts whole pixels; `load_coco` adds the half.
        points = np.asarray(instance.keypoints, np.float64).copy()
        points[points[:, 2] > 0, :2] -= 0.5
        annotation["keypoints"] = points.ravel().tolist()
        annotation["num_keypoints"] = int((points[:, 2] > 0).sum())
    return annotation
