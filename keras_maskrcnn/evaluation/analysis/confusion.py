"""Which class is taken for which, and what is taken for background.

Legend: `K` classes, `D` results.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from keras_maskrcnn.evaluation.analysis.matching import Matching

BACKGROUND = "background"


@dataclasses.dataclass(frozen=True, eq=False)
class Confusion:
    """How often each class was found as each.

    Args:
        class_names: `K` names.
        iou: overlap from which a result means an object.
        scores: float64 `[K]`: lowest score of each class that counts.
        counts: int64 `[K + 1, K + 1]`. Rows are what is there, columns what was found. The last
            row is background: results that mean no object, and those that find one again. The
            last column are objects that were not found.
    """

    class_names: tuple[str, ...]
    iou: float
    scores: np.ndarray
    counts: np.ndarray

    @property
    def names(self) -> tuple[str, ...]:
        """Names of rows and columns."""
        return (*self.class_names, BACKGROUND)

    def most_frequent(self, limit: int) -> list[tuple[str, str, int]]:
        """What is there, what it was taken for, and how often: wrong ones, the most frequent first.

        Args:
            limit: how many at most.
        """
        wrong = self.counts * (1 - np.eye(len(self.counts), dtype=np.int64))
        order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
        places = zip(*np.unravel_index(order, wrong.shape), strict=True)
        return [(self.names[i], self.names[j], int(wrong[i, j])) for i, j in places if wrong[i, j]]

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "iou": self.iou,
            "scores": dict(zip(self.class_names, self.scores.tolist(), strict=True)),
            "names": list(self.names),
            "counts": self.counts.tolist(),
        }


def confusion_matrix(
    matching: Matching, scores: float | np.ndarray = 0.5, iou: float = 0.5
) -> Confusion:
    """Counts what each object was found as.

    Results that found an object of their class by COCO's rules come first. Of the rest, those that
    overlap an object most take it, whatever its class, each object at most once. Results in crowd
    regions of their class are left out.

    Args:
        matching: of one comparison.
        scores: lowest score that counts, or one for each class `[K]`.
        iou: one of COCO's thresholds: .5, .55, ..., .95.

    Raises:
        ValueError: when `iou` is none of these.
    """
    t, size = matching.threshold(iou), len(matching.class_names)
    limits = np.broadcast_to(np.asarray(scores, np.float64), (size,))
    counted = matching.counted(limits) & ~matching.all.ignored[t]
    right = np.flatnonzero(counted & matching.all.right[t])
    free_preds, free_gts = counted.copy(), ~matching.all.gt_ignored
    free_preds[right] = False
    free_gts[matching.all.gts[t, right]] = False
    counts = np.zeros((size + 1, size + 1), np.int64)
    np.add.at(counts, (matching.pred_classes[right],) * 2, 1)
    near = free_preds[matching.pair_preds] & free_gts[matching.pair_gts]
    near = np.flatnonzero(near & (matching.pair_ious >= iou))
    for pair in near[np.argsort(-matching.pair_ious[near], kind="stable")]:
        pred, gt = matching.pair_preds[pair], matching.pair_gts[pair]
        if free_preds[pred] and free_gts[gt]:
            free_preds[pred] = free_gts[gt] = False
            counts[matching.gt_classes[gt], matching.pred_classes[pred]] += 1
    counts[-1, :-1] = np.bincount(matching.pred_classes[free_preds], minlength=size)
    counts[:-1, -1] = np.bincount(matching.gt_classes[free_gts], minlength=size)
    return Confusion(matching.class_names, iou, limits.copy(), counts)
