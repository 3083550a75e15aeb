"""Detections in the forms of other tools; `Detections` has a method for each.

Legend: `D` objects, `J` keypoints.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools import mask as coco_mask

from keras_maskrcnn.optional import needed_for
from keras_maskrcnn.results import pixels

if TYPE_CHECKING:
    from keras_maskrcnn.results.detections import Detections


def to_coco(found: Detections, image_id: int, category_ids: Sequence[int]) -> list[dict[str, Any]]:
    """See `Detections.to_coco`."""
    check_category_ids(found, category_ids)
    rles = found.rles() if found.has_masks else None
    results = []
    for i, (x1, y1, x2, y2) in enumerate(found.boxes.tolist()):
        result: dict[str, Any] = {
            "image_id": int(image_id),
            "category_id": int(category_ids[found.classes[i]]),
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "score": float(found.scores[i]),
        }
        if rles is not None:
            result["segmentation"] = rles[i]
        if found.keypoints is not None:
            points = found.keypoints[i] - (0.5, 0.5, 0.0)
            result["keypoints"] = points.ravel().tolist()
        results.append(result)
    return results


def check_category_ids(found: Detections, category_ids: Sequence[int]) -> None:
    """`ValueError` unless there is an id for each class that was found."""
    if len(found) and found.classes.max() >= len(category_ids):
        raise ValueError(
            f"category_ids must hold an id for class {found.classes.max()}. "
            f"Received: category_ids={list(category_ids)}"
        )


def to_table(found: Detections) -> dict[str, list[Any]]:
    """See `Detections.to_table`."""
    x1, y1, x2, y2 = (column.tolist() for column in found.boxes.T)
    table: dict[str, list[Any]] = {
        "name": found.names.tolist(),
        "class_index": found.classes.tolist(),
        "score": found.scores.tolist(),
        "x1": x1,
        "y1": y1,
        "x2": x2,
        "y2": y2,
    }
    if found.has_masks:
        table["mask_pixels"] = [int(coco_mask.area(rle)) for rle in found.rles()]
    return table


def to_supervision(found: Detections) -> Any:
    """See `Detections.to_supervision`."""
    with needed_for("to_supervision", "supervision"):
        import supervision
    return supervision.Detections(
        xyxy=found.boxes,
        mask=found.masks if found.has_masks else None,
        confidence=found.scores,
        class_id=found.classes.astype(int),
        data={"class_name": found.names},
    )


def to_labelme(found: Detections, image_path: str | os.PathLike[str]) -> dict[str, Any]:
    """See `Detections.to_labelme`."""
    from keras_maskrcnn.data.writers.labelme import labelme_document, labelme_object

    shapes: list[dict[str, Any]] = []
    for i, (box, score, name, outlines) in enumerate(
        zip(found.boxes, found.scores, found.names, to_polygons(found), strict=True)
    ):
        points = () if found.keypoints is None else found.keypoints[i].tolist()
        shapes += labelme_object(
            str(name),
            i,
            outlines,
            box,
            note=f"score {score:.3f}",
            points=[
                (f"{name}_keypoint_{j}", x, y, f"score {point_score:.3f}")
                for j, (x, y, point_score) in enumerate(points)
            ],
        )
    return labelme_document(shapes, image_path, found.image_size)


def to_polygons(found: Detections) -> list[list[np.ndarray]]:
    """The masks as polygons that people can edit, see `crop_polygons`; none without masks."""
    # Only needed to trace outlines.
    from keras_maskrcnn.outlines.tracing import crop_polygons

    if not found.has_masks:
        return [[] for _ in found.boxes]
    return [
        crop_polygons(values, left, top, found.image_size)
        for left, top, values in pixels.crops(found)
    ]
