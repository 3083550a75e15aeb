"""What COCO's numbers are means of, whoever counts it."""

from __future__ import annotations

import dataclasses

import numpy as np

# OKS constant of each keypoint where an object has not 17 of them. Of 17, COCO's constants of a
# person are taken, measured there (0.025 for eyes to 0.107 for hips), as its own tool takes them.
OTHER_SIGMA = 0.05
# COCO counts that many results of keypoints of a picture and category at most.
MOST_KEYPOINT_RESULTS = 20


@dataclasses.dataclass(frozen=True)
class Scores:
    """What COCO's numbers are means of; -1 where the data holds no such object.

    Legend: `T` IoU thresholds, `R` recalls 0, .01, ..., 1, `K` categories, `A` ranges of area.

    Attributes:
        precision: float64 `[T, R, K, A]`.
        recall: float64 `[T, K, A]`.
        recall_of_best: the same with the best 1 and 10 results of a picture and category, by these
            counts; empty for keypoints.
        ious: float64 `[T]`.
        category_ids: `K` ids, rising.
        areas: `A` names: `"all"`, `"small"`, `"medium"`, `"large"`; keypoints have no small ones.
    """

    precision: np.ndarray
    recall: np.ndarray
    recall_of_best: dict[int, np.ndarray]
    ious: np.ndarray
    category_ids: list[int]
    areas: list[str]
