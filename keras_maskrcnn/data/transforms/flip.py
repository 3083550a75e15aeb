"""Left becomes right."""

from __future__ import annotations

import dataclasses

import numpy as np

from keras_maskrcnn.data.transforms.base import TRANSFORMS, Sample, Sometimes
from keras_maskrcnn.data.transforms.move import Move


@dataclasses.dataclass(frozen=True)
class FlipAction(Move):
    """Mirrors a picture left to right."""

    def matrix(self, height: int, width: int) -> np.ndarray:
        return np.array([[-1.0, 0.0, width], [0.0, 1.0, 0.0]])

    def move_pixels(self, image: np.ndarray) -> np.ndarray:
        return image[:, ::-1]


@TRANSFORMS.register("flip")
class Flip(Sometimes):
    """Mirrors pictures left to right.

    Args:
        probability: with which each is mirrored, in 0..1.

    Raises:
        ValueError: if `probability` is out of range.
    """

    def __init__(self, *, probability: float = 0.5) -> None:
        super().__init__(probability=probability)

    def draw_always(self, rng: np.random.Generator, sample: Sample) -> FlipAction:
        return FlipAction()
