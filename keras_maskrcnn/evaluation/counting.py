"""From results that were matched to precision and recall, as COCO's tool counts them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_maskrcnn.evaluation.analysis.matching import IOUS
from keras_maskrcnn.evaluation.flags import Flags, areas_of
from keras_maskrcnn.evaluation.scores import Scores

_RECALLS = np.linspace(0, 1, 101)


def count(flags: Flags, category_ids: Sequence[int], iou_type: str, max_detections: int) -> Scores:
    """Precision and recall of all pictures' results.

    Args:
        flags: of all pictures.
        category_ids: of the classes, in their order.
        iou_type, max_detections: of which `flags` are.
    """
    areas = areas_of(iou_type)
    shape = len(IOUS), len(category_ids), len(areas)
    precision = np.full((shape[0], len(_RECALLS), *shape[1:]), -1.0)
    recall = np.full(shape, -1.0)
    best = (1, 10) if iou_type != "keypoints" else ()
    of_best = {number: np.full(shape, -1.0) for number in best}
    # A stable sort of each picture's results, the pictures by their ids: the order among equals.
    order = np.lexsort((flags.ranks, flags.images, -flags.scores, flags.classes))
    edges = np.searchsorted(flags.classes[order], np.arange(len(category_ids) + 1))
    # Scores have the classes by rising ids.
    for place, k in enumerate(np.argsort(category_ids)):
        own = order[edges[k] : edges[k + 1]]
        for a in range(len(areas)):
            objects = int(flags.objects[a, k])
            if not objects:
                continue
            for t in range(len(IOUS)):
                right, wrong = (
                    (bits[a, own] >> t & 1).astype(bool) for bits in (flags.right, flags.wrong)
                )
                precision[t, :, place, a] = _precision(right, wrong, objects)
                recall[t, place, a] = right.sum() / objects
                for number, values in of_best.items():
                    among = flags.ranks[own] < min(number, max_detections)
                    values[t, place, a] = right[among].sum() / objects
    return Scores(
        precision=precision,
        recall=recall,
        recall_of_best=of_best,
        ious=IOUS,
        category_ids=sorted(category_ids),
        areas=areas,
    )


def _precision(right: np.ndarray, wrong: np.ndarray, objects: int) -> np.ndarray:
    """float64 `[R]`: the best precision at each recall and beyond; 0 where it is not reached."""
    found, missed = np.cumsum(right), np.cumsum(wrong)
    precision = found / (missed + found + np.spacing(1))
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(found / objects, _RECALLS, side="left")
    return np.append(precision, 0.0)[places]
