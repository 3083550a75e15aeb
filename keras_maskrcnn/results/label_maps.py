"""All masks of a picture in one: the number of the object at each pixel.

Legend: `D` objects, `M` mask side, `h w` picture size.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from keras_maskrcnn.ops.paste import check_paste_arguments, paste_crop

if TYPE_CHECKING:
    from keras_maskrcnn.results.detections import Detections

# What 16 bits can tell apart, beside the background.
MAX_OBJECTS = 65_535


def paste_labels(
    masks: np.ndarray,
    boxes: np.ndarray,
    scores: np.ndarray,
    image_size: tuple[int, int],
    threshold: float = 0.5,
) -> np.ndarray:
    """Paste masks over each other, the best score on top; of equal scores the first.

    Objects are pasted one by one within their boxes: a stack of pictures is never made.

    Args:
        masks, boxes, image_size, threshold: as in `paste_masks`.
        scores: `[D]`.

    Returns:
        int32 `[h, w]`: 0 background, `i + 1` for object `i`.

    Raises:
        ValueError: as `paste_masks`.
    """
    check_paste_arguments(masks, boxes, threshold)
    labels = np.zeros(image_size, "int32")
    best_first = np.argsort(-np.asarray(scores), kind="stable")
    for i in best_first[::-1].tolist():
        left, top, values = paste_crop(masks[i], boxes[i], image_size)
        height, width = values.shape
        labels[top : top + height, left : left + width][values >= threshold] = i + 1
    return labels


def save_label_map(found: Detections, path: str | os.PathLike[str]) -> None:
    """See `Detections.save_label_map`."""
    if len(found) > MAX_OBJECTS:
        raise ValueError(
            f"a label map of 16 bits holds at most {MAX_OBJECTS} objects. "
            f"Received: {len(found)} objects"
        )
    Image.fromarray(found.label_map().astype("uint16")).save(path, format="PNG")
