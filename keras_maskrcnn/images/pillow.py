"""Pixels of Pillow's pictures."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from keras_maskrcnn.images.pixels import PixelFormat


def of_pillow(picture: Image.Image, name: str, pixels: PixelFormat) -> np.ndarray:
    """A picture of Pillow, upright, as `[H, W, C]` on the scale 0..255.

    Args:
        picture: of any mode.
        name: of it, for messages.
        pixels: what its pixels mean.

    Raises:
        ValueError: for a picture of other channels, or of more than 8 bits without a range.
    """
    is_deep = picture.mode == "F" or picture.mode.startswith("I")
    if is_deep and pixels.value_range is None:
        raise ValueError(
            "a picture of Pillow must have 8 bits per channel: convert it to an array with "
            f"values 0..255. Received: {name} of mode {picture.mode}"
        )
    upright = ImageOps.exif_transpose(picture)
    if not is_deep and (pixels.channels == 3 or picture.mode not in ("L", "LA", "RGB", "RGBA")):
        upright = upright.convert("RGB")
    try:
        return pixels.of_file(np.asarray(upright))
    except ValueError as error:
        raise ValueError(f"{name}, of Pillow's mode {picture.mode}: {error}") from None
