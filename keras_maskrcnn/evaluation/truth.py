"""A data set's records as ground truth in COCO's format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_maskrcnn.data.formats.problems import ItemError
from keras_maskrcnn.evaluation.checks import encode_outline

if TYPE_CHECKING:
    from keras_maskrcnn.data.detection_data import DetectionData
    from keras_maskrcnn.data.records import ImageRecord, Instance


def truth_of_data(data: DetectionData, iou_type: str) -> list[dict[str, Any]]:
    """Annotations with what one comparison needs.

    Args:
        data: the pictures and their ground truth.
        iou_type: `"bbox"`, `"segm"` or `"keypoints"`.

    Raises:
        ValueError: when an outline is none. The message names the annotation.
    """
    return [
        _annotation(record, instance, data, iou_type)
        for record in data.records
        for instance in record.instances
    ]


def region_of(box: list[float]) -> list[list[float]]:
    """The outline of a crowd region that has only a box: x, y, width, height."""
    x, y, width, height = box
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def _annotation(
    record: ImageRecord, instance: Instance, data: DetectionData, iou_type: str
) -> dict[str, Any]:
    x1, y1, x2, y2 = (float(v) for v in instance.box)
    box = [x1, y1, x2 - x1, y2 - y1]
    annotation: dict[str, Any] = {
        "image_id": record.image_id,
        "category_id": data.category_ids[instance.category],
        "bbox": box,
        "area": float(instance.area),
        "iscrowd": int(instance.is_crowd),
    }
    if iou_type == "segm":
        size = record.height, record.width
        outline = instance.outline and instance.outline.to_coco(*size)
        if instance.is_crowd and not outline:
            outline = region_of(box)
        try:
            annotation["segmentation"] = encode_outline(outline, size)
        except ItemError as problem:
            raise ValueError(
                f"{data.name}, annotation id {instance.annotation_id} "
                f"(image id {record.image_id}): {problem}"
            ) from None
    elif iou_type == "keypoints":
        points = np.zeros((0, 3))
        if instance.keypoints is not None:
            points = np.asarray(instance.keypoints, float) - (0.5, 0.5, 0.0)  # As `to_coco`.
        annotation["keypoints"] = points.ravel().tolist()
        annotation["num_keypoints"] = int((points[:, 2] > 0).sum())
    return annotation
