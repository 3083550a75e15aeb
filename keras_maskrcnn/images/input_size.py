"""The one rule of how large a picture is in the network, for numpy and for TensorFlow graphs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

from keras_maskrcnn.checks import at_least

Tensor = Any


def resize_shape(height: int, width: int, min_size: int, max_size: int) -> tuple[int, int]:
    """Size of a picture after resizing, as torchvision computes it.

    Args:
        height: height in pixels.
        width: width in pixels.
        min_size: wanted length of the shorter side.
        max_size: limit of the longer side.

    Returns:
        `(height, width)`: both sides times the same scale, rounded down.
    """
    scale = min(min_size / min(height, width), max_size / max(height, width))
    return max(1, math.floor(height * scale)), max(1, math.floor(width * scale))


@dataclasses.dataclass(frozen=True)
class InputSize:
    """The rule of Fast R-CNN, as torchvision computes it: one scale for both sides.

    Args:
        min_size: wanted length of the shorter side, in pixels.
        max_size: limit of the longer side.
        divisor: sides of a padded batch are multiples of it.

    Raises:
        ValueError: for a number under 1.
    """

    min_size: int = 800
    max_size: int = 1333
    divisor: int = 32

    def __post_init__(self) -> None:
        at_least(1, min_size=self.min_size, max_size=self.max_size, size_divisor=self.divisor)

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """See `resize_shape`."""
        return resize_shape(height, width, self.min_size, self.max_size)

    def padded(self, sizes: Iterable[tuple[int, int]]) -> tuple[int, int]:
        """Height and width of a batch that holds pictures of these sizes."""
        heights, widths = zip(*sizes, strict=True)
        return self._up(max(heights)), self._up(max(widths))

    def resized_graph(self, size: Tensor) -> Tensor:
        """`resize_shape` for int32 `[2]` in a TensorFlow graph; float64, as Python computes it."""
        import tensorflow as tf

        sides = tf.cast(size, tf.float64)
        scale = tf.minimum(
            self.min_size / tf.reduce_min(sides), self.max_size / tf.reduce_max(sides)
        )
        return tf.maximum(1, tf.cast(tf.floor(sides * scale), tf.int32))

    def padded_graph(self, size: Tensor) -> Tensor:
        """`padded` for the largest sides of a batch, int32 `[2]`."""
        return size + (-size) % self.divisor

    def _up(self, side: int) -> int:
        return -(-side // self.divisor) * self.divisor
