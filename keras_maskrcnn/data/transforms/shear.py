"""Pictures lean over."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from keras_maskrcnn.data.transforms.base import TRANSFORMS, Sample
from keras_maskrcnn.data.transforms.resampling import Fill
from keras_maskrcnn.data.transforms.settings import number_range
from keras_maskrcnn.data.transforms.warp import Warp, Warping

# Below 45 degrees, no two angles together turn a picture inside out.
_STEEPEST = 44.0


@dataclasses.dataclass(frozen=True)
class ShearAction(Warp):
    """Leans a picture over; its centre stays.

    Args:
        x: degrees by which columns lean: what is below the centre moves right.
        y: degrees by which rows lean: what is right of the centre moves down.
    """

    x: float
    y: float

    def matrix(self, height: int, width: int) -> np.ndarray:
        along_x, along_y = math.tan(math.radians(self.x)), math.tan(math.radians(self.y))
        return np.array(
            [[1.0, along_x, -along_x * height / 2], [along_y, 1.0, -along_y * width / 2]]
        )


@TRANSFORMS.register("shear")
class Shear(Warping):
    """Leans pictures over.

    Args:
        x, y: `(low, high)` degrees, in -44..44, from which the lean of columns and that of rows are
            drawn uniformly.
        probability, fill, min_visible: see `Warping`.

    Raises:
        ValueError: for a setting that is out of range.
    """

    def __init__(
        self,
        *,
        x: tuple[float, float] = (-10.0, 10.0),
        y: tuple[float, float] = (-10.0, 10.0),
        probability: float = 1.0,
        fill: Fill = "mean",
        min_visible: float = 0.0,
    ) -> None:
        super().__init__(probability=probability, fill=fill, min_visible=min_visible)
        self.x = number_range("x", x, -_STEEPEST, _STEEPEST)
        self.y = number_range("y", y, -_STEEPEST, _STEEPEST)

    def draw_always(self, rng: np.random.Generator, sample: Sample) -> ShearAction | None:
        x, y = float(rng.uniform(*self.x)), float(rng.uniform(*self.y))
        return ShearAction(x, y, **self.beyond)
