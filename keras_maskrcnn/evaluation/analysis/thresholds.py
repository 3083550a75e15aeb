"""From which score on results should count, class by class.

Legend: `K` classes, `S` score thresholds.
"""

from __future__ import annotations

import dataclasses
import math
import shlex
from typing import Any

import numpy as np

from keras_maskrcnn.evaluation.analysis.matching import Matching
from keras_maskrcnn.evaluation.analysis.numbers import as_json, ratio

# Each the nearest number to its two digits, as a person types it.
_SCORES = np.arange(101) / 100


@dataclasses.dataclass(frozen=True, eq=False)
class ScoreThresholds:
    """Precision, recall and F1 by lowest score; nan where a number means nothing.

    F1 is the harmonic mean of both: 2 right / (2 right + wrong + missed).

    Args:
        class_names: `K` names.
        iou: overlap from which an object counts as found.
        scores: float64 `[S]`: 0, .01, ..., 1.
        precision, recall, f1: float64 `[S, K]` of the results with at least this score.
        best: float64 `[K]`: where F1 is best, as a number of few digits between the lowest score
            that should count and the next; nan for a class of which nothing was found.
        best_precision, best_recall, best_f1: float64 `[K]` at that score.
    """

    class_names: tuple[str, ...]
    iou: float
    scores: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    best: np.ndarray
    best_precision: np.ndarray
    best_recall: np.ndarray
    best_f1: np.ndarray

    def by_name(self) -> dict[str, float]:
        """The best thresholds by class, as `Detections.above` takes them; where one is known."""
        pairs = zip(self.class_names, self.best.tolist(), strict=True)
        return {name: value for name, value in pairs if not math.isnan(value)}

    def limits(self, default: float = 0.5) -> np.ndarray:
        """float64 `[K]`: the best thresholds, `default` where none is known."""
        return np.where(np.isnan(self.best), default, self.best)

    def command(self, model: str = "MODEL") -> str:
        """The command that predicts with these thresholds, as a shell takes it.

        Args:
            model: a model file, a run folder or the name of a published model.
        """
        words = ["maskrcnn", "predict", model, "PICTURES"]
        for name, value in self.by_name().items():
            words.append(f"--threshold={name}={value}")  # A name may begin like an option.
        return " ".join(map(shlex.quote, words))

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        columns = ("precision", "recall", "f1")
        return {
            "iou": self.iou,
            "scores": as_json(self.scores),
            "best": self.by_name(),
            "classes": {
                name: {column: as_json(getattr(self, column)[:, k]) for column in columns}
                | {
                    f"best_{column}": as_json(getattr(self, f"best_{column}")[k])
                    for column in columns
                }
                for k, name in enumerate(self.class_names)
            },
        }


def score_thresholds(matching: Matching, iou: float = 0.5) -> ScoreThresholds:
    """Finds the score from which each class has the best F1.

    Args:
        matching: of one comparison.
        iou: one of COCO's thresholds: .5, .55, ..., .95.

    Raises:
        ValueError: when `iou` is none of these.
    """
    t, size = matching.threshold(iou), len(matching.class_names)
    curves = np.full((3, len(_SCORES), size), np.nan)
    best, at_best = np.full(size, np.nan), np.full((3, size), np.nan)
    for k, objects in enumerate(matching.objects.tolist()):
        of_class = np.flatnonzero((matching.pred_classes == k) & ~matching.all.ignored[t])
        order = of_class[np.argsort(-matching.pred_scores[of_class], kind="stable")]
        scores = matching.pred_scores[order]
        right = np.append(0, np.cumsum(matching.all.right[t, order]))
        counts = np.searchsorted(-scores, -_SCORES, side="right")
        curves[:, :, k] = _precision_recall_f1(right[counts], counts, objects)
        # A threshold lies between two scores that differ, or below the last.
        ends = np.append(np.flatnonzero(np.diff(scores)) + 1, len(scores))
        numbers = _precision_recall_f1(right[ends], ends, objects)
        if right[-1] > 0:
            place = int(np.argmax(numbers[2]))
            end = int(ends[place])
            below = scores[end] if end < len(scores) else -math.inf
            best[k] = _short_number(float(below), float(scores[end - 1]))
            at_best[:, k] = numbers[:, place]
    precision, recall, f1 = curves
    best_precision, best_recall, best_f1 = at_best
    return ScoreThresholds(
        class_names=matching.class_names,
        iou=iou,
        scores=_SCORES,
        precision=precision,
        recall=recall,
        f1=f1,
        best=best,
        best_precision=best_precision,
        best_recall=best_recall,
        best_f1=best_f1,
    )


def _precision_recall_f1(right: np.ndarray, counted: np.ndarray, objects: int) -> np.ndarray:
    """float64 `[3, ...]`."""
    everything = np.full(right.shape, objects)
    return np.stack(
        [ratio(right, counted), ratio(right, everything), ratio(2 * right, counted + everything)]
    )


def _short_number(low: float, high: float) -> float:
    """A number of few digits above `low` and not above `high`, near their middle if it can be."""
    middle = high if math.isinf(low) else (low + high) / 2
    for digits in range(2, 18):
        unit = 10.0**digits
        for value in (round(middle, digits), round(math.floor(high * unit) / unit, digits)):
            if low < value <= high:
                return value
    return high
