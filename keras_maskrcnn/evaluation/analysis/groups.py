"""Average precision of objects alike: by size, and by how closely they stand.

Legend: `N` annotated objects and crowd regions, `D` results.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from keras_maskrcnn.evaluation.analysis.curves import precision_recall
from keras_maskrcnn.evaluation.analysis.matching import Matching
from keras_maskrcnn.evaluation.analysis.numbers import as_json, mean_of_known, ratio

# COCO's limits, in square pixels.
SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
# Of `crowding`, above the first number and up to the second.
CROWDING = {"alone": (-1.0, 0.0), "touching": (0.0, 0.2), "crowded": (0.2, 1.0)}


@dataclasses.dataclass(frozen=True)
class Group:
    """Numbers of the objects of a group; nan where there are none.

    Args:
        name: of the group.
        objects: how many there are to be found.
        ap: average precision, mean over IoU .5 to .95 and the classes that have such objects.
        ap50: at IoU .5.
        recall: part of the objects that is found at all, mean over the same.
    """

    name: str
    objects: int
    ap: float
    ap50: float
    recall: float

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {name: as_json(value) for name, value in dataclasses.asdict(self).items()}


def size_groups(matching: Matching) -> tuple[Group, ...]:
    """Small, medium and large objects, as COCO's AP-s, AP-m and AP-l.

    An object of a limit's area is in both groups. A result that finds an object of another group
    is neither right nor wrong there; one that finds none is wrong in the group of its own area.
    """
    return tuple(
        _group(
            matching,
            name,
            (matching.gt_areas < low) | (matching.gt_areas > high),
            (matching.pred_areas < low) | (matching.pred_areas > high),
        )
        for name, (low, high) in SIZES.items()
    )


def crowding_groups(matching: Matching) -> tuple[Group, ...]:
    """Objects that stand alone, touch others, and are crowded; see `crowding`.

    A result that finds an object of another group is neither right nor wrong there. One that finds
    none is wrong in the group of the object whose box its own overlaps most (by IoU), and in all
    groups where it overlaps none.
    """
    of_gts = crowding(matching)
    nearest = _nearest_objects(matching)
    groups = []
    for name, (low, high) in CROWDING.items():
        outside = ~((of_gts > low) & (of_gts <= high))
        groups.append(_group(matching, name, outside, np.append(outside, False)[nearest]))
    return tuple(groups)


def crowding(matching: Matching) -> np.ndarray:
    """How much each object is overlapped by its neighbours: the largest IoU of its box.

    It is taken with the boxes of all other objects of the picture, of any class, crowd regions
    not counted. Boxes that overlap by more than about .5 suppress each other's results (NMS).

    Returns:
        float64 `[N]` in 0..1; nan for crowd regions.
    """
    values = np.full(len(matching.gt_areas), np.nan)
    for places in _by_picture(matching.gt_images, ~matching.gt_crowds):
        overlaps = _box_ious(matching.gt_boxes[places], matching.gt_boxes[places])
        np.fill_diagonal(overlaps, 0.0)
        values[places] = overlaps.max(axis=1)
    return values


def _nearest_objects(matching: Matching) -> np.ndarray:
    """int `[D]`: the object whose box each result's overlaps most, -1 for none."""
    nearest = np.full(len(matching.pred_scores), -1)
    results = {
        int(matching.pred_images[places[0]]): places
        for places in _by_picture(matching.pred_images, np.ones(len(nearest), bool))
    }
    for gts in _by_picture(matching.gt_images, ~matching.gt_crowds):
        preds = results.get(int(matching.gt_images[gts[0]]))
        if preds is not None:
            overlaps = _box_ious(matching.pred_boxes[preds], matching.gt_boxes[gts])
            best = overlaps.argmax(axis=1)
            nearest[preds] = np.where(overlaps.max(axis=1) > 0, gts[best], -1)
    return nearest


def _by_picture(images: np.ndarray, wanted: np.ndarray) -> list[np.ndarray]:
    """Places that are wanted, picture by picture."""
    places = np.flatnonzero(wanted)
    if not len(places):
        return []
    return np.split(places, np.flatnonzero(np.diff(images[places])) + 1)


def _box_ious(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """IoU of boxes x1 y1 x2 y2."""
    forms = [np.concatenate([b[:, :2], b[:, 2:] - b[:, :2]], axis=1) for b in (first, second)]
    return coco_mask.iou(*forms, [0] * len(second))


def _group(
    matching: Matching, name: str, gt_outside: np.ndarray, pred_outside: np.ndarray
) -> Group:
    match = matching.match(matching.all.gt_ignored | gt_outside, pred_outside)
    size = len(matching.class_names)
    objects = np.bincount(matching.gt_classes[~match.gt_ignored], minlength=size)
    found = [np.bincount(matching.pred_classes[right], minlength=size) for right in match.right]
    curves = precision_recall(matching, match)
    return Group(
        name=name,
        objects=int(objects.sum()),
        ap=float(mean_of_known(curves.ap)),
        ap50=float(mean_of_known(curves.ap[matching.threshold(0.5)])),
        recall=float(mean_of_known(ratio(np.stack(found), np.tile(objects, (len(found), 1))))),
    )
