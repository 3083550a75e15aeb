"""Pictures are turned about their centre."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from keras_maskrcnn.data.transforms.base import TRANSFORMS, Sample
from keras_maskrcnn.data.transforms.resampling import Fill
from keras_maskrcnn.data.transforms.settings import number_range
from keras_maskrcnn.data.transforms.warp import Warp, Warping


@dataclasses.dataclass(frozen=True)
class RotateAction(Warp):
    """Turns a picture about its centre.

    Args:
        degrees: counterclockwise, as in detectron2.
        expand: whether the picture grows so that nothing leaves it.
    """

    degrees: float
    expand: bool = False

    def matrix(self, height: int, width: int) -> np.ndarray:
        cos, sin = self._cos_sin()
        new_height, new_width = self.new_size(height, width)
        x, y = width / 2, height / 2
        return np.array(
            [
                [cos, sin, new_width / 2 - cos * x - sin * y],
                [-sin, cos, new_height / 2 + sin * x - cos * y],
            ]
        )

    def new_size(self, height: int, width: int) -> tuple[int, int]:
        if not self.expand:
            return height, width
        cos, sin = (abs(v) for v in self._cos_sin())
        return round(height * cos + width * sin), round(height * sin + width * cos)

    def _cos_sin(self) -> tuple[float, float]:
        angle = math.radians(self.degrees)
        return math.cos(angle), math.sin(angle)


@TRANSFORMS.register("rotate")
class Rotate(Warping):
    """Turns pictures about their centre.

    Args:
        degrees: `(low, high)` from which the angle is drawn uniformly, counterclockwise, in
            -360..360.
        expand: whether the picture grows so that nothing leaves it, as in detectron2; otherwise it
            keeps its size, and its corners are lost.
        probability, fill, min_visible: see `Warping`.

    Raises:
        ValueError: for a setting that is out of range.
    """

    def __init__(
        self,
        *,
        degrees: tuple[float, float] = (-15.0, 15.0),
        expand: bool = False,
        probability: float = 1.0,
        fill: Fill = "mean",
        min_visible: float = 0.0,
    ) -> None:
        super().__init__(probability=probability, fill=fill, min_visible=min_visible)
        self.degrees = number_range("degrees", degrees, -360, 360)
        self.expand = expand

    def draw_always(self, rng: np.random.Generator, sample: Sample) -> RotateAction | None:
        degrees = float(rng.uniform(*self.degrees))
        return RotateAction(degrees, self.expand, **self.beyond)
