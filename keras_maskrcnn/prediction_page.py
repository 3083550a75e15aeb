"""A page of pictures as annotated, and as found."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from keras_maskrcnn.pages import make_page
from keras_maskrcnn.results import Detections
from keras_maskrcnn.visualize import draw_detections, draw_instances

if TYPE_CHECKING:
    from keras_maskrcnn.data.records import ImageRecord

# Hardly anything is found when less than this part of the annotated objects is.
_HARDLY = 0.1


def prediction_page(
    rows: Iterable[tuple[np.ndarray, ImageRecord, Detections]],
    class_names: Sequence[str],
    path: str | Path | None = None,
    *,
    threshold: float = 0.5,
    tile: int = 640,
) -> np.ndarray:
    """Pictures as annotated and as found, beside each other on one page.

    Where hardly anything reaches the threshold, as after a short training, it is lowered for the
    whole page, whose first line then says so; see `page_threshold`.

    Args:
        rows: `(image, record, detections)` of each picture.
        class_names: `K` names.
        path: where to write the page as PNG; `None`: nowhere.
        threshold: lowest score that is drawn.
        tile: length of a drawn picture's longer side in pixels.

    Returns:
        The page as uint8 `[h, w, 3]`.

    Raises:
        ValueError: when there are no rows.
    """
    rows = list(rows)
    annotated = sum(len(record.objects) for _, record, _ in rows)
    scores = np.concatenate([np.zeros(0, "float32"), *(found.scores for _, _, found in rows)])
    threshold, note = page_threshold(scores, annotated, threshold)
    pairs = []
    for image, record, found in rows:
        scale = tile / max(record.height, record.width)
        count = int((found.scores >= threshold).sum())
        pairs.append(
            [
                (
                    draw_instances(image, record, class_names, scale=scale),
                    f"{Path(record.path).name}: {len(record.objects)} annotated",
                ),
                (
                    draw_detections(image, found, threshold=threshold, scale=scale),
                    f"{count} found with a score of {threshold:g} or more",
                ),
            ]
        )
    page = make_page(pairs, note)
    if path is not None:
        Image.fromarray(page).save(path, format="PNG")
    return page


def page_threshold(scores: np.ndarray, annotated: int, threshold: float) -> tuple[float, str]:
    """The lowest score that a page draws, and why it is another than the one asked for.

    When less than a tenth as many results as annotated objects reach the threshold, it becomes the
    score down to which there are as many results as annotated objects (rounded down to two digits):
    what the model takes to be the objects, however unsure it is.

    Args:
        scores: of all results on the page.
        annotated: how many objects are annotated on it.
        threshold: the one asked for.

    Returns:
        The threshold, and a line for the page; empty where nothing has to be said.
    """
    reached = int((scores >= threshold).sum())
    if reached and reached >= _HARDLY * annotated:
        return threshold, ""
    if not len(scores):
        return threshold, "The model found nothing in these pictures, whatever the score."
    best_first = np.sort(scores)[::-1]
    if not annotated:
        return threshold, (
            f"Nothing is annotated in these pictures, and nothing reached {threshold:g}: "
            f"the best score is {best_first[0]:.2g}."
        )
    lowered = _rounded_down(float(best_first[min(annotated, len(scores)) - 1]))
    if lowered >= threshold:  # There is no more to show.
        return threshold, ""
    few = f"only {reached}" if reached else "nothing"
    return lowered, (
        f"Drawn are scores of {lowered:g} and more: {few} reached {threshold:g}, "
        f"and {annotated} objects are annotated."
    )


def _rounded_down(score: float) -> float:
    """To two digits; .21 as float32 is .21."""
    if score <= 0:
        return 0.0
    digits = 1 - math.floor(math.log10(score))
    return math.floor(score * 10**digits + 1e-4) / 10**digits
