"""Matches results to ground truth and counts, as pycocotools' COCOeval does.

Overlaps of boxes and masks are pycocotools' own. Matching and counting, which take it most of its
time, are done by faster-coco-eval, which holds the same algorithm in C++ and gives the same
numbers, ties and crowds included; `tests/evaluation/test_scoring.py` compares the two.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from pycocotools import mask as coco_mask

if TYPE_CHECKING:
    from keras_maskrcnn.data.records import DetectionData, ImageRecord, Instance

RESULT_FIELDS = {"bbox": "bbox", "segm": "segmentation", "keypoints": "keypoints"}
# OKS constant of a keypoint when the data set is not the 17 points of a COCO person, for which
# COCO holds measured ones (0.025 for eyes to 0.107 for hips).
_OTHER_SIGMA = 0.05


@dataclasses.dataclass(frozen=True)
class Scores:
    """What COCO's numbers are means of; -1 where the data holds no such object.

    Legend: `T` IoU thresholds, `R` recalls 0, .01, ..., 1, `K` categories, `A` ranges of area.

    Attributes:
        precision: float64 `[T, R, K, A]`.
        recall: float64 `[T, K, A]`.
        ious: float64 `[T]`.
        category_ids: `K` ids, rising.
        areas: `A` names: `"all"`, `"small"`, `"medium"`, `"large"`; keypoints have no small ones.
    """

    precision: np.ndarray
    recall: np.ndarray
    ious: np.ndarray
    category_ids: list[int]
    areas: list[str]


def score(
    data: DetectionData, results: Iterable[dict[str, Any]], iou_type: str, max_detections: int
) -> Scores:
    """Precision and recall of results in COCO's format.

    Args:
        data: the pictures and their ground truth.
        results: as `Detections.to_coco` gives them, about `data`'s pictures and categories.
        iou_type: `"bbox"`, `"segm"` or `"keypoints"`.
        max_detections: best results of a picture and category that count; of keypoints at most 20,
            as COCO has it.

    Returns:
        `Scores`.
    """
    # Fresh ids from 1: a match with annotation 0 would be taken for no match.
    truth = [
        _annotation(number, record, instance, data, iou_type)
        for number, (record, instance) in enumerate(
            ((record, instance) for record in data.records for instance in record.instances), 1
        )
    ]
    found = [_scored(number, result, iou_type) for number, result in enumerate(results, 1)]
    evaluation = _Evaluation(_index(data, truth), _index(data, found), iou_type)
    params = evaluation.params
    # For keypoints only categories that have objects are taken otherwise.
    params.catIds = sorted(data.category_ids)
    params.maxDets = [max_detections]
    if iou_type == "keypoints":
        joints = {len(t["keypoints"]) // 3 for t in truth if t["num_keypoints"]} or {17}
        if joints != {len(params.kpt_oks_sigmas)}:
            params.kpt_oks_sigmas = np.full(max(joints), _OTHER_SIGMA)
        params.maxDets = [min(20, max_detections)]
    evaluation.evaluate()
    evaluation.accumulate()
    return Scores(
        precision=np.asarray(evaluation.eval["precision"])[..., 0],
        recall=np.asarray(evaluation.eval["recall"])[..., 0],
        ious=np.asarray(params.iouThrs),
        category_ids=[int(i) for i in params.catIds],
        areas=list(params.areaRngLbl),
    )


class _Evaluation(COCOeval_faster):
    """Boxes and masks are matched by pycocotools' overlaps, keypoints by faster-coco-eval's.

    faster-coco-eval would unpack and pack every mask again before it compares any.
    """

    def __init__(self, truth: COCO, found: COCO, iou_type: str) -> None:
        super().__init__(truth, found, "keypoints" if iou_type == "keypoints" else "bbox")
        self.field = RESULT_FIELDS[iou_type]

    def computeIoU(self, imgId: int, catId: int) -> np.ndarray:  # noqa: N802 (inherited)
        """`[D, G]` overlaps, results in the order of their scores."""
        truth = self.gt_dataset.get(imgId, catId)
        found = self.dt_dataset.get(imgId, catId)
        order = np.argsort([-result["score"] for result in found], kind="stable")
        return coco_mask.iou(
            [found[i][self.field] for i in order[: self.params.maxDets[-1]]],
            [annotation[self.field] for annotation in truth],
            [annotation["iscrowd"] for annotation in truth],
        )


def _index(data: DetectionData, annotations: list[dict[str, Any]]) -> COCO:
    images = [{"id": r.image_id, "height": r.height, "width": r.width} for r in data.records]
    index = COCO()
    index.dataset = {
        "images": images,
        "categories": [{"id": i} for i in data.category_ids],
        "annotations": annotations,
    }
    index.createIndex()
    return index


def _annotation(
    number: int, record: ImageRecord, instance: Instance, data: DetectionData, iou_type: str
) -> dict[str, Any]:
    x1, y1, x2, y2 = (float(v) for v in instance.box)
    annotation: dict[str, Any] = {
        "id": number,
        "image_id": record.image_id,
        "category_id": data.category_ids[instance.category],
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": float(instance.area),
        "iscrowd": int(instance.is_crowd),
    }
    if iou_type == "segm":
        # Only a crowd region may lack an outline: then all of its box is ignored.
        outline = instance.segmentation or [[x1, y1, x2, y1, x2, y2, x1, y2]]
        annotation["segmentation"] = _encoded(outline, record)
    elif iou_type == "keypoints":
        points = np.zeros((0, 3))
        if instance.keypoints is not None:
            points = np.asarray(instance.keypoints, float) - (0.5, 0.5, 0.0)  # As `to_coco`.
        annotation["keypoints"] = points.ravel().tolist()
        annotation["num_keypoints"] = int((points[:, 2] > 0).sum())
    return annotation


def _encoded(segmentation: list[Any] | dict[str, Any], record: ImageRecord) -> dict[str, Any]:
    """An outline as a compressed run-length encoding."""
    size = record.height, record.width
    if isinstance(segmentation, dict):
        if isinstance(segmentation["counts"], list):
            return coco_mask.frPyObjects(segmentation, *size)
        return segmentation
    return coco_mask.merge(coco_mask.frPyObjects(segmentation, *size))


def _scored(number: int, result: dict[str, Any], iou_type: str) -> dict[str, Any]:
    """A result as it is scored: with an id, and the area of what is being compared.

    The area decides whether an unmatched detection counts as small, medium or large, so for masks
    it must be the mask's area rather than the box's.
    """
    field = RESULT_FIELDS[iou_type]
    value = result[field]
    scored = {"id": number, "iscrowd": 0, field: value}
    scored.update({key: result[key] for key in ("image_id", "category_id", "score")})
    if iou_type == "bbox":
        scored["area"] = value[2] * value[3]
    elif iou_type == "segm":
        scored["area"] = float(coco_mask.area(value))
    else:
        x, y = np.asarray(value[0::3]), np.asarray(value[1::3])
        width, height = float(np.ptp(x)), float(np.ptp(y))
        scored["area"] = width * height
        scored["bbox"] = [float(x.min()), float(y.min()), width, height]
    return scored
