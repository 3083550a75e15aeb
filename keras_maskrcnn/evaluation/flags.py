"""What scoring keeps of each result: a score, and which thresholds it meets, as bits.

Some 40 bytes for a result, in place of its mask and of all that was looked at to match it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from keras_maskrcnn.evaluation.analysis.matching import Match, Matching, match_compared
from keras_maskrcnn.evaluation.compared import Compared
from keras_maskrcnn.evaluation.scores import MOST_KEYPOINT_RESULTS

_MOST = 1e10
_SMALL, _MEDIUM = 32.0**2, 96.0**2
# Ranges of area in square pixels, both ends included.
AREAS = {
    "all": (0.0, _MOST),
    "small": (0.0, _SMALL),
    "medium": (_SMALL, _MEDIUM),
    "large": (_MEDIUM, _MOST),
}


def areas_of(iou_type: str) -> list[str]:
    """Names of the ranges of area: of keypoints, COCO has no small objects."""
    return [name for name in AREAS if name != "small" or iou_type != "keypoints"]


@dataclasses.dataclass(frozen=True, eq=False)
class Flags:
    """Results of one comparison.

    Legend: `D` results, `K` classes, `A` ranges of area.

    Args:
        scores: float64 `[D]`.
        images: int64 `[D]`, ids of the pictures.
        classes: int32 `[D]`, 0..K-1.
        ranks: int32 `[D]`: how many results of the picture and class are before it.
        right, wrong: uint16 `[A, D]`: bit `t` tells whether at the IoU threshold `t` it has found
            an object, and whether it has found none; neither, where it does not count.
        objects: int64 `[A, K]`: how many there are to be found.
    """

    scores: np.ndarray
    images: np.ndarray
    classes: np.ndarray
    ranks: np.ndarray
    right: np.ndarray
    wrong: np.ndarray
    objects: np.ndarray


def flags_of(compared: Compared, iou_type: str) -> Flags:
    """Matches the results of some pictures.

    Args:
        compared: all that these pictures have of both sides.
        iou_type: `"bbox"`, `"segm"` or `"keypoints"`.
    """
    is_keypoints = iou_type == "keypoints"
    if is_keypoints:
        most = min(MOST_KEYPOINT_RESULTS, compared.max_detections)
        compared = dataclasses.replace(compared, max_detections=most)
    matching = match_compared(compared, iou_type)
    left_out = matching.gt_crowds
    if is_keypoints:
        truth = compared.truth[iou_type]
        counts = np.array([truth[number]["num_keypoints"] for number in matching.gt_numbers])
        left_out = left_out | (counts == 0)
    matches = []
    for name in areas_of(iou_type):
        low, high = AREAS[name]
        gt_outside, pred_outside = (
            (areas < low) | (areas > high) for areas in (matching.gt_areas, matching.pred_areas)
        )
        matches.append(matching.match(left_out | gt_outside, pred_outside))
    return Flags(
        scores=matching.pred_scores,
        images=matching.image_ids[matching.pred_images],
        classes=matching.pred_classes.astype(np.int32),
        ranks=matching.pred_ranks.astype(np.int32),
        right=np.stack([_bits(match.right) for match in matches]),
        wrong=np.stack([_bits(match.wrong) for match in matches]),
        objects=np.stack([_objects(matching, match) for match in matches]),
    )


def joined(parts: Sequence[Flags]) -> Flags:
    """Those of several groups of pictures, of which no picture is in two."""

    def whole(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts], axis=-1)

    columns = ("scores", "images", "classes", "ranks", "right", "wrong")
    objects = np.sum([part.objects for part in parts], axis=0)
    return Flags(**{name: whole(name) for name in columns}, objects=objects)


def _bits(flags: np.ndarray) -> np.ndarray:
    """uint16 `[D]` of bool `[T, D]`."""
    weights = (1 << np.arange(len(flags))).astype(np.uint16)[:, None]
    return (flags * weights).sum(axis=0, dtype=np.uint16)


def _objects(matching: Matching, match: Match) -> np.ndarray:
    classes = matching.gt_classes[~match.gt_ignored]
    return np.bincount(classes, minlength=len(matching.class_names))
