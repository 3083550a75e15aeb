"""Precision by recall, and its mean, as COCO's tool samples them.

Legend: `T` IoU thresholds, `R` recalls, `K` classes, `D` results.
"""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any

import numpy as np

from keras_maskrcnn.evaluation.analysis.matching import Match, Matching
from keras_maskrcnn.evaluation.analysis.numbers import as_json, mean_of_known

_RECALLS = np.linspace(0, 1, 101)


@dataclasses.dataclass(frozen=True, eq=False)
class Curves:
    """Precision-recall curves of each class and IoU threshold; nan for a class without objects.

    Args:
        class_names: `K` names.
        ious: float64 `[T]`.
        recalls: float64 `[R]`: 0, .01, ..., 1.
        precision: float64 `[T, R, K]`: the best that is reached at this recall or a higher one.
        scores: float64 `[T, R, K]`: the score down to which results count at this recall; nan
            where the recall is not reached.
    """

    class_names: tuple[str, ...]
    ious: np.ndarray
    recalls: np.ndarray
    precision: np.ndarray
    scores: np.ndarray

    @cached_property
    def ap(self) -> np.ndarray:
        """float64 `[T, K]`: average precision."""
        return self.precision.mean(axis=1)

    @cached_property
    def mean(self) -> np.ndarray:
        """float64 `[T, R]`: precision, mean over the classes that have objects."""
        return mean_of_known(self.precision, axis=2)

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "ious": as_json(self.ious),
            "recalls": as_json(self.recalls),
            "mean_precision": as_json(self.mean),
            "classes": {
                name: {
                    "ap": as_json(self.ap[:, k]),
                    "precision": as_json(self.precision[..., k]),
                    "scores": as_json(self.scores[..., k]),
                }
                for k, name in enumerate(self.class_names)
            },
        }


def precision_recall(matching: Matching, match: Match | None = None) -> Curves:
    """Precision-recall curves.

    Args:
        matching: of one comparison.
        match: what counts as found; `None`: `matching.all`.
    """
    match = match or matching.all
    shape = (len(matching.ious), len(_RECALLS), len(matching.class_names))
    precision, scores = np.full(shape, np.nan), np.full(shape, np.nan)
    objects = np.bincount(matching.gt_classes[~match.gt_ignored], minlength=shape[-1])
    for k in np.flatnonzero(objects):
        of_class = np.flatnonzero(matching.pred_classes == k)
        order = of_class[np.argsort(-matching.pred_scores[of_class], kind="stable")]
        for t in range(len(matching.ious)):
            counted = order[~match.ignored[t, order]]
            sampled, reached = sample_precision(match.right[t, counted], int(objects[k]))
            precision[t, :, k] = sampled
            scores[t, reached >= 0, k] = matching.pred_scores[counted[reached[reached >= 0]]]
    return Curves(matching.class_names, matching.ious, _RECALLS, precision, scores)


def sample_precision(right: np.ndarray, objects: int) -> tuple[np.ndarray, np.ndarray]:
    """Precision at 101 recalls; its mean is the average precision.

    Args:
        right: bool `[D]`: whether each result is, best score first.
        objects: how many there are to be found, at least 1.

    Returns:
        `(precision, reached)`, `[101]` each: 0 where the recall is not reached, and the result
        with which it is, -1 for none.
    """
    found = np.cumsum(right)
    precision = found / (np.arange(len(right)) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    reached = np.searchsorted(found / objects, _RECALLS)
    reached[reached == len(right)] = -1
    return np.where(reached < 0, 0.0, np.append(precision, 0.0)[reached]), reached
