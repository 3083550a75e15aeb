"""Pixels as the network's input has them."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def resize_image(image: np.ndarray | tf.Tensor, size: tuple[int, int] | tf.Tensor) -> tf.Tensor:
    """Resizes bilinearly, half-pixel centres, without antialiasing (as torchvision's detectors).

    Args:
        image: `[H, W, C]`.
        size: `(height, width)` of the result.

    Returns:
        float32 tensor `[height, width, C]`.
    """
    return tf.image.resize(image, size, method="bilinear", antialias=False)
