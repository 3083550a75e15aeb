"""Matches results to ground truth and counts, as pycocotools' COCOeval does.

Overlaps of boxes and masks are pycocotools' own. Matching and counting, which take it most of its
time, are done by faster-coco-eval, which holds the same algorithm in C++ and gives the same
numbers, ties and crowds included; `tests/evaluation/test_scoring.py` compares the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools import mask as coco_mask

from keras_maskrcnn.evaluation.results import RESULT_FIELDS
from keras_maskrcnn.evaluation.scores import MOST_KEYPOINT_RESULTS, OTHER_SIGMA, Scores
from keras_maskrcnn.optional import needed_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

with needed_for("COCO's numbers", "faster-coco-eval"):
    from faster_coco_eval import COCO, COCOeval_faster


def match(
    image_ids: Iterable[int],
    category_ids: Iterable[int],
    truth: Sequence[dict[str, Any]],
    found: Sequence[dict[str, Any]],
    iou_type: str,
    max_detections: int,
) -> Scores:
    """Precision and recall of results.

    Args:
        image_ids, category_ids: of the ground truth.
        truth: annotations in COCO's format, of known images and categories; for `"segm"` with
            compressed run-length encodings, for `"keypoints"` with `num_keypoints`. They get new
            ids here.
        found: what `prepare_results` gives.
        iou_type: `"bbox"`, `"segm"` or `"keypoints"`.
        max_detections: best results of a picture and category that count, at least 1; of keypoints
            at most 20, as COCO has it.

    Returns:
        `Scores`.

    Raises:
        ValueError: when annotations and results do not all have as many keypoints.
    """
    images, categories = sorted(image_ids), sorted(category_ids)
    # Ids from 1: COCO's algorithm takes a match with annotation 0 for no match.
    truth = [{**annotation, "id": number} for number, annotation in enumerate(truth, 1)]
    evaluation = _Evaluation(
        _index(images, categories, truth), _index(images, categories, found), iou_type
    )
    params = evaluation.params
    # For keypoints only categories that have objects are taken otherwise.
    params.catIds = categories
    best: tuple[int, ...] = (1, 10)
    if iou_type == "keypoints":
        best = ()
        max_detections = min(MOST_KEYPOINT_RESULTS, max_detections)
        joints = {len(a["keypoints"]) // 3 for a in (*truth, *found) if a["keypoints"]} or {17}
        if len(joints) > 1:
            raise ValueError(
                "Expected as many keypoints in each annotation and result. "
                f"Received: {sorted(joints)} of them"
            )
        if joints != {len(params.kpt_oks_sigmas)}:
            params.kpt_oks_sigmas = np.full(max(joints), OTHER_SIGMA)
    params.maxDets = sorted({max_detections, *(min(n, max_detections) for n in best)})
    evaluation.evaluate()
    evaluation.accumulate()
    recall = np.asarray(evaluation.eval["recall"])
    return Scores(
        precision=np.asarray(evaluation.eval["precision"])[..., -1],
        recall=recall[..., -1],
        recall_of_best={n: recall[..., params.maxDets.index(min(n, max_detections))] for n in best},
        ious=np.asarray(params.iouThrs),
        category_ids=categories,
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


def _index(
    image_ids: list[int], category_ids: list[int], annotations: Sequence[dict[str, Any]]
) -> COCO:
    index = COCO()
    index.dataset = {
        "images": [{"id": i} for i in image_ids],
        "categories": [{"id": i} for i in category_ids],
        "annotations": annotations,
    }
    index.createIndex()
    return index
