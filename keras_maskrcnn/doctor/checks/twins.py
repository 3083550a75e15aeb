"""Objects that are annotated twice.

Legend: `N` objects of a picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from keras_maskrcnn.data.records import Instance
from keras_maskrcnn.doctor.case import Case, check
from keras_maskrcnn.doctor.findings import Finding, Fix, Kind, Severity

TWIN = Kind(
    "duplicated_object",
    Severity.WARNING,
    "Objects that are annotated twice",
    "Two objects of one class cover the same. A model finds one of them, and the other counts as "
    "missed.",
    Fix.LEAVE_OUT_TWINS,
)
TWO_CLASSES = Kind(
    "two_classes",
    Severity.WARNING,
    "One object with two classes",
    "Two objects of different classes cover the same. Which is right must be said by a person.",
)

# Intersection over union from which on two objects are one.
ALIKE = 0.9
_SIDE = 64
# Rows of the matrix of overlaps that are made at a time.
_ROWS = 256


@check(TWIN, TWO_CLASSES)
def duplicated_objects(case: Case) -> Iterator[Finding]:
    for seen in case.pictures:
        objects = seen.record.objects
        names = case.splits[seen.place.split].class_names
        gone: set[int] = set()
        for first, second in overlapping([o.box for o in objects], ALIKE):
            one, other = objects[first], objects[second]
            is_same_class = one.category == other.category
            if (is_same_class and {first, second} & gone) or outline_overlap(one, other) < ALIKE:
                continue
            ids = [one.annotation_id, other.annotation_id]
            named = f"objects {ids[0]} and {ids[1]}"
            if is_same_class:
                gone.add(second)
                words = f"{named} ({names[one.category]}) cover the same"
                yield TWIN.found(words, seen.place, annotation_ids=ids)
            else:
                both = f"{names[one.category]} and as {names[other.category]}"
                words = f"{named} cover the same as {both}"
                yield TWO_CLASSES.found(words, seen.place, annotation_ids=ids)


def overlapping(boxes: Sequence[Sequence[float]], least: float) -> list[tuple[int, int]]:
    """Pairs of `N` boxes whose intersection over union is `least` or more, first one first."""
    all_boxes = np.array(boxes, np.float64).reshape(-1, 4)
    area = np.prod(all_boxes[:, 2:] - all_boxes[:, :2], axis=1)
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(all_boxes), _ROWS):
        rows = all_boxes[start : start + _ROWS, None]
        sides = np.minimum(rows[..., 2:], all_boxes[:, 2:]) - np.maximum(
            rows[..., :2], all_boxes[:, :2]
        )
        shared = np.prod(np.maximum(sides, 0.0), axis=-1)
        union = area[start : start + _ROWS, None] + area - shared
        row, column = np.nonzero((shared >= least * union) & (union > 0))
        later = column > row + start
        pairs += zip((row[later] + start).tolist(), column[later].tolist(), strict=True)
    return pairs


def outline_overlap(one: Instance, other: Instance) -> float:
    """Intersection over union of what two objects cover; of boxes where there is no outline."""
    if one.outline is None or other.outline is None:
        return float((one.outline is None) == (other.outline is None))
    corners = np.array([one.box, other.box], np.float64)
    box = [*corners[:, :2].min(axis=0).tolist(), *corners[:, 2:].max(axis=0).tolist()]
    first, second = one.outline.coverage(box, _SIDE), other.outline.coverage(box, _SIDE)
    union = float(np.maximum(first, second).sum())
    return float(np.minimum(first, second).sum()) / union if union else 1.0
