"""Which detections stay, and how many they are; `Detections` has a method for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools import mask as coco_mask

from keras_maskrcnn.checks import fraction, nearest

if TYPE_CHECKING:
    from keras_maskrcnn.results.detections import Detections


def above(found: Detections, thresholds: Mapping[str, float], default: float) -> Detections:
    """See `Detections.above`."""
    for name in thresholds:
        if found.class_names and name not in found.class_names:
            raise ValueError(
                f"thresholds must be of classes among {list(found.class_names)}."
                f"{nearest(name, found.class_names)} Received: {name!r}"
            )
    # As float32, in which scores are: a score of .7 reaches .7.
    lowest = np.array([thresholds.get(name, default) for name in found.names.tolist()], "float32")
    return found[found.scores >= lowest]


def mask_nms(found: Detections, iou: float, across_classes: bool) -> Detections:
    """See `Detections.mask_nms`."""
    fraction(iou=iou)
    rles = found.rles()
    kept: dict[int, list[int]] = {}
    for i in np.argsort(-found.scores, kind="stable").tolist():
        rivals = kept.setdefault(0 if across_classes else int(found.classes[i]), [])
        if not rivals or _largest_iou(rles[i], [rles[k] for k in rivals]) <= iou:
            rivals.append(i)
    return found[sorted(i for rivals in kept.values() for i in rivals)]


def _largest_iou(rle: dict[str, Any], others: list[dict[str, Any]]) -> float:
    return float(coco_mask.iou([rle], others, [False] * len(others)).max())


def counts(found: Detections) -> dict[str, int]:
    """See `Detections.counts`."""
    numbers = dict.fromkeys(found.class_names, 0)
    for name in found.names.tolist():
        numbers[name] = numbers.get(name, 0) + 1
    return numbers
