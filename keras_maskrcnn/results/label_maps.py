"""All masks of a picture in one: the number of the object at each pixel.

Legend: `D` objects, `M` mask side, `h w` picture size.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from keras_maskrcnn.results.pixels import crops

if TYPE_CHECKING:
    from keras_maskrcnn.results.detections import Detections

# What 16 bits can tell apart, beside the background.
MAX_OBJECTS = 65_535


def label_map(found: Detections) -> np.ndarray:
    """See `Detections.label_map`; of equal scores the first is on top.

    Objects are pasted one by one within their boxes: a stack of pictures is never made.
    """
    labels = np.zeros(found.image_size, "int32")
    best_first = np.argsort(-found.scores, kind="stable")
    worst_first = best_first[::-1].tolist()
    for i, (left, top, values) in zip(worst_first, crops(found, rows=worst_first), strict=True):
        height, width = values.shape
        labels[top : top + height, left : left + width][values >= 0.5] = i + 1
    return labels


def save_label_map(found: Detections, path: str | os.PathLike[str]) -> None:
    """See `Detections.save_label_map`."""
    if len(found) > MAX_OBJECTS:
        raise ValueError(
            f"a label map of 16 bits holds at most {MAX_OBJECTS} objects. "
            f"Received: {len(found)} objects"
        )
    Image.fromarray(found.label_map().astype("uint16")).save(path, format="PNG")
