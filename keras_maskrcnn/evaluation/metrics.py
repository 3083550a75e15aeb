"""COCO's numbers: which there are, what they are called, and how they are shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_maskrcnn import notebook

if TYPE_CHECKING:
    from keras_maskrcnn.evaluation.scores import Scores

PREFIXES = {"bbox": "box", "segm": "mask", "keypoints": "keypoint"}
# Names of the columns, names of the rows, and the rows.
Cells = tuple[Sequence[str], Sequence[str], Sequence[Sequence[str]]]
# A longer table of classes is folded in a notebook.
_CLASSES_OPEN = 30
_AREAS = {"s": "small", "m": "medium", "l": "large"}


class CocoMetrics(dict[str, float]):
    """COCO's numbers by name, as `evaluate_coco` and its like return them.

    For each of `box`, `mask` and `keypoint` that was evaluated, here with `box`:

    - `box_ap`: average precision, mean over IoU .5, .55, ..., .95; `box_ap50`, `box_ap75`: at one;
      `box_aps`, `box_apm`, `box_apl`: of small, medium and large objects (under 32^2, up to 96^2,
      and above, by the annotation's area).
    - `box_ar`: recall, mean over the same IoUs, with up to 100 results of a picture and class
      (`max_detections`; COCO's AR@100); `box_ar_1`, `box_ar_10`: with the best 1 and 10 of them;
      `box_ars`, `box_arm`, `box_arl`: of small, medium and large objects.

    Those are COCO's twelve. Keypoints have ten: without small objects and `ar_1`, `ar_10`, and with
    `keypoint_ar50` and `keypoint_ar75`; in place of IoU stands OKS, and up to 20 results count.

    A number is nan where the data holds no such object; COCO's own tool says -1.

    Attributes:
        per_class: for each class name the same numbers of that class alone.
    """

    def __init__(self, overall: dict[str, float], per_class: dict[str, dict[str, float]]) -> None:
        super().__init__(overall)
        self.per_class = per_class

    def summary(self) -> str:
        """A plain-text table of all numbers over all classes, in percent: a row for each kind."""
        return _layout(*self._summary())

    def table(self) -> str:
        """A plain-text table of average precision in percent: all classes, then a row for each."""
        return _layout(*self._table())

    def _repr_html_(self) -> str:
        """Both tables."""
        by_class = _as_html(*self._table())
        if len(self.per_class) > _CLASSES_OPEN:
            by_class = notebook.folded(f"{len(self.per_class)} classes", by_class)
        return notebook.line("COCO's numbers, in percent", strong=True) + (
            _as_html(*self._summary()) + by_class
        )

    def _summary(self) -> Cells:
        kinds = [kind for kind in PREFIXES.values() if f"{kind}_ap" in self]
        columns = list(dict.fromkeys(name.split("_", 1)[1] for name in self))
        rows = [[_percent(self.get(f"{kind}_{column}")) for column in columns] for kind in kinds]
        return columns, kinds, rows

    def _table(self) -> Cells:
        columns = [name for name in self if name.split("_", 1)[1].startswith("ap")]
        labels = ["all classes", *self.per_class]
        rows = [
            [_percent(row[name]) for name in columns] for row in (self, *self.per_class.values())
        ]
        return columns, labels, rows


def summarize(
    scores: Mapping[str, Scores], class_names: Sequence[str], category_ids: Sequence[int]
) -> CocoMetrics:
    """COCO's numbers from the scores of each comparison, over all classes and for each.

    Args:
        scores: by `"bbox"`, `"segm"`, `"keypoints"`.
        class_names, category_ids: name and id of each class, in the order of `per_class`.
    """
    overall: dict[str, float] = {}
    per_class: dict[str, dict[str, float]] = {name: {} for name in class_names}
    for iou_type, of_type in scores.items():
        overall.update(_numbers(of_type, PREFIXES[iou_type], slice(None)))
        for name, category_id in zip(class_names, category_ids, strict=True):
            place = of_type.category_ids.index(category_id)
            numbers = _numbers(of_type, PREFIXES[iou_type], slice(place, place + 1))
            per_class[name].update(numbers)
    return CocoMetrics(overall, per_class)


def check_options(iou_types: Sequence[str], max_detections: int) -> None:
    """Raises a ValueError for what is no comparison, or no count of detections."""
    for name in iou_types:
        if name not in PREFIXES:
            raise ValueError(
                f"iou_types must be of {tuple(PREFIXES)}. Received: iou_types={tuple(iou_types)}"
            )
    if max_detections < 1:
        raise ValueError(
            f"max_detections must be at least 1. Received: max_detections={max_detections}"
        )


def _numbers(scores: Scores, prefix: str, classes: slice) -> dict[str, float]:
    """Means over some of the categories, in the order in which COCO's tool tells them."""
    precision, recall = scores.precision[:, :, classes], scores.recall[:, classes]
    everything = scores.areas.index("all")
    # Keypoints have no small objects, and recall at an IoU in place of recall with few results.
    areas = {k: scores.areas.index(name) for k, name in _AREAS.items() if name in scores.areas}
    ious = {str(percent): np.isclose(scores.ious, percent / 100) for percent in (50, 75)}

    numbers = {"ap": precision[..., everything]}
    numbers |= {f"ap{name}": precision[at][..., everything] for name, at in ious.items()}
    numbers |= {f"ap{name}": precision[..., area] for name, area in areas.items()}
    numbers |= {
        f"ar_{count}": values[:, classes, everything]
        for count, values in scores.recall_of_best.items()
    }
    numbers["ar"] = recall[..., everything]
    if not scores.recall_of_best:
        numbers |= {f"ar{name}": recall[at][..., everything] for name, at in ious.items()}
    numbers |= {f"ar{name}": recall[..., area] for name, area in areas.items()}
    return {f"{prefix}_{name}": _mean(values) for name, values in numbers.items()}


def _mean(values: np.ndarray) -> float:
    valid = values[values > -1]
    return float(valid.mean()) if valid.size else math.nan


def _percent(value: float | None) -> str:
    if value is None:  # There is no such number.
        return ""
    return "-" if math.isnan(value) else f"{100 * value:.1f}"


def _layout(columns: Sequence[str], labels: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lines of equal length: cells at the right under their names, labels at the left."""
    side = max(map(len, labels), default=0)
    widths = [max(5, len(column)) for column in columns]
    lines = [
        f"{label:<{side}}  "
        + "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        for label, cells in zip(("", *labels), (columns, *rows), strict=True)
    ]
    return "\n".join(lines)


def _as_html(columns: Sequence[str], labels: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [[label, *cells] for label, cells in zip(labels, rows, strict=True)]
    return notebook.table(["", *columns], lines)
