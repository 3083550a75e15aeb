"""How much results and objects of one picture overlap, as COCO's tool measures it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.cocoeval import Params

from keras_maskrcnn.evaluation.scores import OTHER_SIGMA


def overlaps(
    found: Sequence[dict[str, Any]], truth: Sequence[dict[str, Any]], field: str
) -> np.ndarray:
    """IoU of boxes or masks (of a crowd region, the part of the result that lies in it), or OKS.

    Args:
        found, truth: `D` results and `N` annotations of one picture.
        field: `"bbox"`, `"segmentation"` or `"keypoints"`.

    Returns:
        float64 `[D, N]`.
    """
    if field == "keypoints":
        return _oks(found, truth)
    return coco_mask.iou(
        [result[field] for result in found],
        [annotation[field] for annotation in truth],
        [annotation["iscrowd"] for annotation in truth],
    )


def _oks(found: Sequence[dict[str, Any]], truth: Sequence[dict[str, Any]]) -> np.ndarray:
    """Likeness of keypoints. Of an object without visible ones, how far those of a result lie
    outside of twice its box counts."""
    points = np.array([result["keypoints"] for result in found]).reshape(len(found), -1, 3)
    person = Params("keypoints").kpt_oks_sigmas
    joints = points.shape[1]
    sigmas = person if joints == len(person) else np.full(joints, OTHER_SIGMA)
    variances = (2 * sigmas) ** 2
    columns = []
    for annotation in truth:
        own = np.array(annotation["keypoints"] or np.zeros(3 * joints)).reshape(-1, 3)
        visible = own[:, 2] > 0
        if visible.any():
            offsets = points[..., :2] - own[:, :2]
        else:
            x, y, width, height = annotation["bbox"]
            low = np.array([x - width, y - height])
            high = np.array([x + 2 * width, y + 2 * height])
            offsets = np.maximum(0, low - points[..., :2]) + np.maximum(0, points[..., :2] - high)
            visible[:] = True
        distances = (offsets**2).sum(axis=-1)
        errors = distances / variances / (annotation["area"] + np.spacing(1)) / 2
        columns.append(np.exp(-errors[:, visible]).sum(axis=1) / visible.sum())
    return np.stack(columns, axis=1)
