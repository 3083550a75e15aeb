"""Which pictures came out best and worst.

Legend: `K` classes, `D` results, `N` annotated objects, `I` pictures.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from keras_maskrcnn.evaluation.analysis.matching import Matching
from keras_maskrcnn.evaluation.analysis.numbers import as_json, ratio


@dataclasses.dataclass(frozen=True, eq=False)
class PictureScores:
    """What was right and wrong in each picture.

    Args:
        image_ids: int64 `[I]`.
        right, wrong, missed: int64 `[I]`: results that are, and objects that were not found.
        counted: bool `[D]`: the results that reach their class's threshold.
        gt_found: bool `[N]`: the objects that one of these finds.
    """

    image_ids: np.ndarray
    right: np.ndarray
    wrong: np.ndarray
    missed: np.ndarray
    counted: np.ndarray
    gt_found: np.ndarray

    @property
    def f1(self) -> np.ndarray:
        """float64 `[I]`; nan for pictures without objects of which nothing was found."""
        return ratio(2 * self.right, 2 * self.right + self.wrong + self.missed)

    def worst(self, limit: int) -> np.ndarray:
        """Places of the pictures with errors in `image_ids`: lowest F1, then most errors, first.

        Args:
            limit: how many at most.
        """
        errors = self.wrong + self.missed
        order = np.lexsort((-errors, self.f1))
        return order[errors[order] > 0][:limit]

    def best(self, limit: int) -> np.ndarray:
        """Places of the pictures where anything is right: highest F1, then most right ones, first.

        Args:
            limit: how many at most.
        """
        order = np.lexsort((-self.right, -self.f1))
        return order[self.right[order] > 0][:limit]

    def to_json(self) -> list[dict[str, Any]]:
        """As JSON holds it: an object for each picture."""
        names = ("image_id", "right", "wrong", "missed", "f1")
        columns = (self.image_ids, self.right, self.wrong, self.missed, self.f1)
        rows = zip(*(as_json(column) for column in columns), strict=True)
        return [dict(zip(names, row, strict=True)) for row in rows]


def picture_scores(
    matching: Matching, scores: float | np.ndarray = 0.5, iou: float = 0.5
) -> PictureScores:
    """Counts what is right and wrong in each picture.

    Args:
        matching: of one comparison.
        scores: lowest score that counts, or one for each class `[K]`.
        iou: one of COCO's thresholds: .5, .55, ..., .95.

    Raises:
        ValueError: when `iou` is none of these.
    """
    match, t = matching.all, matching.threshold(iou)
    counted = matching.counted(np.asarray(scores, np.float64))
    right = counted & match.right[t]
    gt_found = np.zeros(len(match.gt_ignored), bool)
    gt_found[match.gts[t, right]] = True

    def by_picture(images: np.ndarray) -> np.ndarray:
        return np.bincount(images, minlength=len(matching.image_ids))

    return PictureScores(
        image_ids=matching.image_ids,
        right=by_picture(matching.pred_images[right]),
        wrong=by_picture(matching.pred_images[counted & match.wrong[t]]),
        missed=by_picture(matching.gt_images[~gt_found & ~match.gt_ignored]),
        counted=counted,
        gt_found=gt_found,
    )
