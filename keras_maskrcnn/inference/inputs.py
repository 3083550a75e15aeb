"""Pictures as the network takes them.

Legend: `B` pictures, `h w` size of a picture, `H W` size of the batch, `C` channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_maskrcnn.data.pipeline import resize_image
from keras_maskrcnn.images.input_size import InputSize


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
