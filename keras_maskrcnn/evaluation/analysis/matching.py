"""Which result found which object: computed once, and read by all that explains a score.

Legend: `I` pictures, `K` classes, `D` results, `N` annotated objects and crowd regions, `P` pairs
of both that overlap, `T` IoU thresholds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from keras_maskrcnn.evaluation.compared import Compared
from keras_maskrcnn.evaluation.overlaps import overlaps
from keras_maskrcnn.evaluation.results import RESULT_FIELDS, bounds_of

IOUS = np.linspace(0.5, 0.95, 10)
# What is larger does not count, in square pixels.
_LARGEST_AREA = 1e10
# COCO takes an overlap that is a rounding error short of 1 for 1.
_MOST_NEEDED = 1 - 1e-10


@dataclasses.dataclass(frozen=True, eq=False)
class Match:
    """Which result found which object at each IoU threshold, by COCO's rules.

    Args:
        gts: int32 `[T, D]`: the object or crowd region that a result found, -1 for none.
        ignored: bool `[T, D]`: results that are neither right nor wrong.
        gt_ignored: bool `[N]`: what must not be found, such as crowd regions.
    """

    gts: np.ndarray
    ignored: np.ndarray
    gt_ignored: np.ndarray

    @cached_property
    def right(self) -> np.ndarray:
        """bool `[T, D]`: results that found an object."""
        return (self.gts >= 0) & ~self.ignored

    @cached_property
    def wrong(self) -> np.ndarray:
        """bool `[T, D]`: results that found none."""
        return (self.gts < 0) & ~self.ignored


@dataclasses.dataclass(frozen=True, eq=False)
class Matching:
    """Objects and results of all pictures in one row each, and how they overlap.

    Objects are in the order of their pictures; results by picture, class and falling score, of
    each picture and class the best `max_detections`.

    Args:
        iou_type: `"bbox"`, `"segm"` or `"keypoints"`.
        class_names: `K` names.
        image_ids: int64 `[I]`, rising.
        ious: float64 `[T]`.
        gt_numbers, pred_numbers: int `[N]`, `[D]`: place in `Compared.truth` and `Compared.found`.
        gt_images, pred_images: int `[N]`, `[D]`: place of the picture in `image_ids`.
        gt_classes, pred_classes: int `[N]`, `[D]`, 0..K-1.
        gt_boxes, pred_boxes: float64 `[N, 4]`, `[D, 4]`: x1 y1 x2 y2; of masks without a box,
            what they reach over.
        gt_areas, pred_areas: float64 `[N]`, `[D]`: square pixels, as COCO takes them.
        gt_crowds: bool `[N]`: crowd regions.
        pred_scores: float64 `[D]`.
        pred_ranks: int64 `[D]`: how many results of the picture and class come before.
        pair_preds, pair_gts, pair_ious: `[P]`: pairs of any class that overlap at all; of a crowd
            region, the part of the result that lies in it; of keypoints OKS.
    """

    iou_type: str
    class_names: tuple[str, ...]
    image_ids: np.ndarray
    ious: np.ndarray
    gt_numbers: np.ndarray
    gt_images: np.ndarray
    gt_classes: np.ndarray
    gt_boxes: np.ndarray
    gt_areas: np.ndarray
    gt_crowds: np.ndarray
    pred_numbers: np.ndarray
    pred_images: np.ndarray
    pred_classes: np.ndarray
    pred_boxes: np.ndarray
    pred_areas: np.ndarray
    pred_scores: np.ndarray
    pred_ranks: np.ndarray
    pair_preds: np.ndarray
    pair_gts: np.ndarray
    pair_ious: np.ndarray

    @cached_property
    def all(self) -> Match:
        """The match of all objects."""
        return self.match(
            self.gt_crowds | (self.gt_areas > _LARGEST_AREA), self.pred_areas > _LARGEST_AREA
        )

    @cached_property
    def objects(self) -> np.ndarray:
        """int `[K]`: how many there are to be found."""
        counted = self.gt_classes[~self.all.gt_ignored]
        return np.bincount(counted, minlength=len(self.class_names))

    @cached_property
    def pair_same(self) -> np.ndarray:
        """bool `[P]`: whether both are of one class."""
        return self.pred_classes[self.pair_preds] == self.gt_classes[self.pair_gts]

    def threshold(self, iou: float) -> int:
        """Place of an IoU threshold in `ious`.

        Raises:
            ValueError: when it is none of them.
        """
        near = np.flatnonzero(np.isclose(self.ious, iou))
        if not len(near):
            raise ValueError(
                f"iou must be one of {np.round(self.ious, 2).tolist()}. Received: iou={iou}"
            )
        return int(near[0])

    def counted(self, scores: np.ndarray) -> np.ndarray:
        """bool `[D]`: results of at least a score, or of at least that of their class `[K]`."""
        limits = np.broadcast_to(scores, (len(self.class_names),))
        return self.pred_scores >= limits[self.pred_classes]

    def match(self, gt_ignored: np.ndarray, pred_outside: np.ndarray) -> Match:
        """Matches results of falling score, each to the free object that it overlaps most.

        Args:
            gt_ignored: bool `[N]`: what makes a result neither right nor wrong. A crowd region may
                be found many times.
            pred_outside: bool `[D]`: results that are not wrong where they find nothing.
        """
        needed = np.minimum(self.ious, _MOST_NEEDED)[:, None]
        gts = np.full((len(self.ious), len(self.pred_scores)), -1, np.int32)
        taken = np.zeros((len(self.ious), len(self.gt_areas)), bool)
        for pairs, starts in self._turns(self.pair_same & (self.pair_ious >= needed.min())):
            preds, others = self.pair_preds[pairs[starts]], self.pair_gts[pairs]
            free = ~taken[:, others] | self.gt_crowds[others]
            free &= self.pair_ious[pairs] >= needed
            # What is ignored is found by results only that find nothing else.
            for is_ignored in (False, True):
                choice = free & (gt_ignored[others] == is_ignored)
                values = np.where(choice, self.pair_ious[pairs], 0.0)
                most = np.maximum.reduceat(values, starts, axis=1)
                finds = (most > 0) & (gts[:, preds] < 0)
                # Of equals the last, as COCO's tool has it.
                is_most = values == np.repeat(most, np.diff(starts, append=len(pairs)), axis=1)
                places = np.where(is_most, np.arange(len(pairs)), -1)
                best = np.maximum.reduceat(places, starts, axis=1)
                rows, columns = np.nonzero(finds)
                found = others[best[finds]]
                gts[rows, preds[columns]] = found
                taken[rows, found] = True
        ignored = np.where(gts >= 0, np.append(gt_ignored, False)[gts], pred_outside)
        return Match(gts, ignored, gt_ignored)

    def _turns(self, of_use: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Pairs in the order in which results choose: first the best of each picture and class,
        which are in no other's way, all at once, then the second of each.

        Args:
            of_use: bool `[P]`: the pairs that matter.

        Yields:
            places of pairs, sorted by result, and where in them each result's own begin.
        """
        places = np.flatnonzero(of_use)
        preds, own = np.unique(self.pair_preds[places], return_inverse=True)
        groups = self.pred_images[preds] * len(self.class_names) + self.pred_classes[preds]
        turns = _rank(groups)[own]
        order = np.argsort(turns, kind="stable")
        ends = np.flatnonzero(np.diff(turns[order])) + 1
        for turn in np.split(order, ends) if len(order) else ():
            yield places[turn], np.flatnonzero(np.diff(own[turn], prepend=-1))


def match_compared(compared: Compared, iou_type: str) -> Matching:
    """Overlaps of one comparison.

    Args:
        compared: both sides.
        iou_type: one of those that are compared.
    """
    image_ids = np.array(sorted(compared.sizes), np.int64)
    truth, found = compared.truth[iou_type], compared.found[iou_type]
    gts = _rows(truth, image_ids, compared.category_ids)
    preds = _rows(found, image_ids, compared.category_ids)
    order = np.argsort(gts["images"], kind="stable")
    gts = {name: values[order] for name, values in gts.items()}
    scores = np.array([float(result["score"]) for result in found], np.float64)
    order = np.lexsort((-scores, preds["classes"], preds["images"]))
    rank = _rank(preds["images"][order] * len(compared.category_ids) + preds["classes"][order])
    is_best = rank < compared.max_detections
    order = order[is_best]
    preds = {name: values[order] for name, values in preds.items()}
    crowds = np.array([bool(annotation["iscrowd"]) for annotation in truth], bool)
    crowds = crowds[gts["numbers"]]
    pairs = _pairs(truth, found, RESULT_FIELDS[iou_type], gts, preds)
    return Matching(
        iou_type=iou_type,
        class_names=tuple(compared.class_names),
        image_ids=image_ids,
        ious=IOUS,
        gt_crowds=crowds,
        pred_scores=scores[order],
        pred_ranks=rank[is_best],
        pair_preds=pairs[0],
        pair_gts=pairs[1],
        pair_ious=pairs[2],
        **{f"gt_{name}": values for name, values in gts.items()},
        **{f"pred_{name}": values for name, values in preds.items()},
    )


def _rows(
    entries: Sequence[dict[str, Any]], image_ids: np.ndarray, category_ids: Sequence[int]
) -> dict[str, np.ndarray]:
    place = {category_id: k for k, category_id in enumerate(category_ids)}
    boxes = np.array([_box(entry) for entry in entries], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return {
        "numbers": np.arange(len(entries)),
        "images": np.searchsorted(image_ids, np.array([e["image_id"] for e in entries], np.int64)),
        "classes": np.array([place[e["category_id"]] for e in entries], np.int64),
        "boxes": boxes,
        "areas": np.array([float(e["area"]) for e in entries], np.float64),
    }


def _box(entry: dict[str, Any]) -> Any:
    """x, y, width and height."""
    field = next(field for field in RESULT_FIELDS.values() if field in entry)
    return bounds_of(field, entry[field])


def _rank(groups: np.ndarray) -> np.ndarray:
    """Which of its group each one is, where groups stand together."""
    starts = np.diff(groups, prepend=-1) != 0
    places = np.arange(len(groups))
    return places - np.maximum.accumulate(np.where(starts, places, 0))


def _pairs(
    truth: Sequence[dict[str, Any]],
    found: Sequence[dict[str, Any]],
    field: str,
    gts: dict[str, np.ndarray],
    preds: dict[str, np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs within each picture that overlap: result, object and overlap."""
    parts = []
    for image in np.intersect1d(gts["images"], preds["images"]):
        low, high = np.searchsorted(gts["images"], [image, image + 1])
        first, last = np.searchsorted(preds["images"], [image, image + 1])
        values = overlaps(
            [found[number] for number in preds["numbers"][first:last]],
            [truth[number] for number in gts["numbers"][low:high]],
            field,
        )
        rows, columns = np.nonzero(values > 0)
        parts.append((rows + first, columns + low, values[rows, columns]))
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    pair_preds, pair_gts, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    return pair_preds, pair_gts, values
