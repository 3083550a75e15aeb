"""Gaussian noise."""

from __future__ import annotations

import dataclasses

import numpy as np

from keras_maskrcnn.data.transforms.base import TRANSFORMS, Sample, Sometimes
from keras_maskrcnn.data.transforms.pixels import (
    PixelAction,
    check_value_range,
    number_range,
    rounded,
)


@dataclasses.dataclass(frozen=True)
class NoiseAction(PixelAction):
    """Adds noise.

    Args:
        std: standard deviation, in values of pixels; 0 leaves the picture as it is.
        seed: which the noise follows from, for a size.
        value_range: the highest value of a pixel.
    """

    std: float
    seed: int
    value_range: float = 255

    def change(self, image: np.ndarray) -> np.ndarray:
        if not self.std:
            return image
        values = np.random.default_rng(self.seed).standard_normal(image.shape, np.float32)
        values *= self.std
        values += image
        np.clip(values, 0, self.value_range, out=values)
        return rounded(values, image.dtype)


@TRANSFORMS.register("noise")
class Noise(Sometimes):
    """Adds Gaussian noise, of its own to each pixel and channel, of any number of these.

    Values are clipped to 0 and `value_range`, and of pictures of integers rounded to the nearest.

    Args:
        std: standard deviation in values of pixels, or the lowest and highest.
        probability: with which each picture gets noise, in 0..1.
        value_range: the highest value of a pixel.

    Raises:
        ValueError: if a setting is out of range.
    """

    def __init__(
        self,
        *,
        std: float | tuple[float, float] = (0.0, 10.0),
        probability: float = 0.5,
        value_range: float = 255,
    ) -> None:
        super().__init__(probability=probability)
        check_value_range(value_range)
        self.std = number_range("std", std, 0, float("inf"))
        self.value_range = value_range

    def draw_always(self, rng: np.random.Generator, sample: Sample) -> NoiseAction | None:
        return NoiseAction(
            float(rng.uniform(*self.std)), int(rng.integers(2**32)), self.value_range
        )
