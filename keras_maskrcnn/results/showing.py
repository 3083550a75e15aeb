"""Detections drawn on their picture; `Detections` has a method for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from keras_maskrcnn import notebook
from keras_maskrcnn.results.picture import KnownPicture
from keras_maskrcnn.results.texts import ROWS_SHOWN, headline

if TYPE_CHECKING:
    from keras_maskrcnn.results.detections import Detections

_THRESHOLD = 0.5
# How many are drawn where no score reaches it.
_BEST = 10
# The longer side of the picture in a notebook's own view of an object, in pixels.
_SIDE = 640


def plot(found: Detections, image: Any, options: Mapping[str, Any]) -> Image.Image:
    """See `Detections.plot`."""
    # What draws results knows them.
    from keras_maskrcnn.visualize import draw_detections

    options = {"threshold": _threshold(found), **options}
    return Image.fromarray(draw_detections(_picture(found, image), found, **options))


def show(found: Detections, image: Any, options: Mapping[str, Any]) -> None:
    """See `Detections.show`."""
    drawn = plot(found, image, {"scale": notebook.shown_scale(found.image_size), **options})
    if told := _told(found, options.get("threshold")):
        print(told)
    notebook.show(np.asarray(drawn))


def as_html(found: Detections) -> str:
    """The picture, where it is known and can be read, and the best objects as a table."""
    parts = [notebook.line(headline(found), strong=True)]
    if found.picture is not None:
        scale = notebook.fitting_scale(found.image_size, _SIDE)
        try:
            drawn = plot(found, None, {"scale": scale})
        except (ValueError, OSError) as error:
            parts.append(notebook.line(f"Without the picture: {error}"))
        else:
            parts.append(notebook.picture(np.asarray(drawn), headline(found)))
            if told := _told(found, None):
                parts.append(notebook.line(told))
    if len(found):
        parts.append(_table(found[:ROWS_SHOWN]))
    if len(found) > ROWS_SHOWN:
        parts.append(notebook.line(f"and {len(found) - ROWS_SHOWN} more"))
    return "".join(parts)


def _picture(found: Detections, image: Any) -> np.ndarray:
    if image is None:
        if found.picture is None:
            raise ValueError(
                "the picture of these detections is not known, as it is not after pickling, or "
                "when batches or bytes were predicted: give it, as in show('picture.jpg'). "
                "Received: image=None"
            )
        return found.picture.read()
    pixels = None if found.picture is None else found.picture.pixels
    return KnownPicture(image, pixels).read()


def _threshold(found: Detections) -> float:
    """.5, or the score of the tenth best where no score is as good."""
    if not len(found) or found.scores.max() >= _THRESHOLD:
        return _THRESHOLD
    return float(np.sort(found.scores)[-min(_BEST, len(found))])


def _told(found: Detections, given: float | None) -> str:
    """Says which objects are drawn, where it is not all of those that are good."""
    threshold = _threshold(found) if given is None else given
    shown = int((found.scores >= threshold).sum())
    if given is None and threshold < _THRESHOLD:
        why = f": no score reaches {_THRESHOLD:g}, the best is {found.scores.max():.2g}."
    elif shown == len(found):
        return ""
    else:
        why = f", those with a score of {threshold:g} or more."
    return f"Drawn: {shown} of {len(found)}{why} show(threshold=...) draws others."


def _table(found: Detections) -> str:
    head = ["", "name", "score", "x1", "y1", "x2", "y2"]
    rows = [
        [i, name, f"{score:.3f}", *(f"{v:.1f}" for v in box)]
        for i, (name, score, box) in enumerate(
            zip(found.names, found.scores, found.boxes, strict=True)
        )
    ]
    if found.has_masks:
        head.append("mask pixels")
        for row, rle in zip(rows, found.rles(), strict=True):
            row.append(f"{int(coco_mask.area(rle)):,}")
    return notebook.table(head, rows, texts=2)
