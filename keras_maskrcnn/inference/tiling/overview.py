"""A large picture and what is found in it, small enough to be looked at."""

from __future__ import annotations

import dataclasses

import numpy as np

from keras_maskrcnn.images.pixels import PixelFormat
from keras_maskrcnn.inference.tiling.pictures import LargePicture
from keras_maskrcnn.outlines import Bitmap
from keras_maskrcnn.results import Detections
from keras_maskrcnn.results.pixels import crops

# Rows of the small picture that are made at a time.
_ROWS = 64


def overview(
    picture: LargePicture, found: Detections, pixels: PixelFormat, longest: int = 4096
) -> tuple[np.ndarray, Detections]:
    """The picture and its objects at a whole fraction of their size.

    Args:
        picture: is read in strips, from the smallest size that it has and that is large enough.
        found: its objects.
        pixels: what its pixels mean.
        longest: limit of the longer side, in pixels.

    Returns:
        uint8 `[h, w, 3]` for eyes, each pixel the mean of those that it stands for, and the objects
        in its pixels. A picture within the limit, and its objects, as they are.
    """
    height, width = picture.shape
    part = max(1, -(-max(height, width) // longest))
    level = picture.level(1 / part)
    part = -(-part // level.part) * level.part
    # Of the level, which may lack the last part of a pixel.
    each = part // level.part
    rows, columns = (max(1, side // each) for side in level.shape)
    image = np.zeros((rows, columns, 3), "uint8")
    for first in range(0, rows, _ROWS):
        last = min(first + _ROWS, rows)
        strip = pixels.displayed(level.read((0, first * each, columns * each, last * each)))
        cells = strip.reshape(last - first, each, columns, each, 3)
        image[first:last] = cells.mean(axis=(1, 3)).round()
    if part == 1:
        return image, found
    scale = 1 / part
    return image, dataclasses.replace(
        found,
        boxes=np.minimum(found.boxes * scale, [columns, rows, columns, rows]),
        image_size=(rows, columns),
        outlines=[
            Bitmap(values[: rows - top, : columns - left] >= 0.5, left, top)
            for left, top, values in crops(found, scale)
        ],
        keypoints=None if found.keypoints is None else found.keypoints * (scale, scale, 1),
    )
