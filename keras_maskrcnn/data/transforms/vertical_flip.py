"""Up becomes down."""

from __future__ import annotations

import dataclasses

import numpy as np

from keras_maskrcnn.data.transforms.base import TRANSFORMS, Sample, Sometimes
from keras_maskrcnn.data.transforms.move import Move


@dataclasses.dataclass(frozen=True)
class VerticalFlipAction(Move):
    """Mirrors a picture upside down."""

    def matrix(self, height: int, width: int) -> np.ndarray:
        return np.array([[1.0, 0.0, 0.0], [0.0, -1.0, height]])

    def move_pixels(self, image: np.ndarray) -> np.ndarray:
        return image[::-1]


@TRANSFORMS.register("vertical_flip")
class VerticalFlip(Sometimes):
    """Mirrors pictures upside down. What is left of something becomes what is right of it, as in
    any mirror (detectron2 exchanges keypoints at a horizontal flip only).

    Args:
        probability: with which each is mirrored, in 0..1.

    Raises:
        ValueError: if `probability` is out of range.
    """

    def __init__(self, *, probability: float = 0.5) -> None:
        super().__init__(probability=probability)

    def draw_always(self, rng: np.random.Generator, sample: Sample) -> VerticalFlipAction:
        return VerticalFlipAction()
