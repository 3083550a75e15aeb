"""Pictures as the network takes them.

Legend: `B` pictures, `h w` size of a picture, `H W` size of the batch, `C` channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_maskrcnn.data.reading import read_image
from keras_maskrcnn.data.resizing import resize_image
from keras_maskrcnn.images.input_size import InputSize
from keras_maskrcnn.images.pillow import of_pillow
from keras_maskrcnn.images.pixels import PixelFormat
from keras_maskrcnn.models.input_checks import RGB, check_picture


def as_picture(item: Any, position: int, pixels: PixelFormat = RGB) -> np.ndarray:
    """A path, an array or Pillow's picture as `[H, W, C]` on the scale 0..255.

    Args:
        item: what `predict` was given.
        position: of it, for messages.
        pixels: of the model.
    """
    name = f"picture {position}"
    if isinstance(item, str | Path):
        return read_image(str(item), pixels)
    if isinstance(item, Image.Image):
        return of_pillow(item, name, pixels)
    if not hasattr(item, "__array__"):
        raise TypeError(
            "a picture must be a path, an array [height, width, 3] with values 0..255, or a "
            f"picture of Pillow. Received: {name} of type {type(item).__name__}"
        )
    picture = np.asarray(item)
    check_picture(picture, name, pixels)
    return pixels.of_array(picture)


def network_inputs(pictures: Sequence[np.ndarray], size: InputSize) -> dict[str, np.ndarray]:
    """Resizes pictures, and pads them at the bottom and right.

    Args:
        pictures: `B` arrays `[h, w, C]`, on the scale 0..255.
        size: of the input.

    Returns:
        `images` float32 `[B, H, W, C]` and `image_sizes` int32 `[B, 2]`.
    """
    shapes = [size.resized(*picture.shape[:2]) for picture in pictures]
    height, width = size.padded(shapes)
    images = np.zeros((len(pictures), height, width, pictures[0].shape[2]), "float32")
    for image, picture, (h, w) in zip(images, pictures, shapes, strict=True):
        image[:h, :w] = np.asarray(resize_image(picture, (h, w)))
    return {"images": images, "image_sizes": np.array(shapes, "int32")}
