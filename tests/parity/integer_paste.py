"""torchvision's mask paste, to tell where ours differs because of the rule and only of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf


def paste_on_integers(
    masks: np.ndarray, boxes: np.ndarray, size: tuple[int, int] = (320, 416)
) -> Iterator[np.ndarray]:
    """Probabilities `[h, w]` of one object after the other.

    The mask gets a rim of zeros, its box grows by as much and is cut to integers, and the mask is
    resized to it, the last row and column included.

    Args:
        masks: float32 `[D, M, M]`.
        boxes: `[D, 4]`.
        size: `(h, w)` of the picture.
    """
    height, width = size
    side = masks.shape[1]
    centres = (boxes[:, 2:] + boxes[:, :2]) * 0.5
    halves = (boxes[:, 2:] - boxes[:, :2]) * 0.5 * np.float32((side + 2) / side)
    whole = np.concatenate([centres - halves, centres + halves], axis=1).astype(int)
    for mask, (x1, y1, x2, y2) in zip(np.pad(masks, ((0, 0), (1, 1), (1, 1))), whole, strict=True):
        shape = (max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1))
        values = tf.image.resize(mask[..., None], shape)[..., 0].numpy()
        picture = np.zeros((height, width), "float32")
        left, top = max(x1, 0), max(y1, 0)
        right, bottom = min(x2 + 1, width), min(y2 + 1, height)
        if right > left and bottom > top:
            picture[top:bottom, left:right] = values[top - y1 : bottom - y1, left - x1 : right - x1]
        yield picture
