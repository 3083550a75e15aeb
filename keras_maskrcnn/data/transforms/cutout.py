"""Rectangles of the picture are hidden."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_maskrcnn.data.transforms.base import TRANSFORMS, Sample, Sometimes
from keras_maskrcnn.data.transforms.pixels import (
    PixelAction,
    check_value_range,
    number_range,
    rounded,
)


@dataclasses.dataclass(frozen=True)
class CutoutAction(PixelAction):
    """Fills rectangles.

    Args:
        rectangles: `(x1, y1, x2, y2)` of each, in whole pixels.
        fill: see `Cutout`.
        seed: which `fill="noise"` follows from.
        value_range: the highest value of a pixel.
    """

    rectangles: tuple[tuple[int, int, int, int], ...]
    fill: str | float | tuple[float, ...] = "mean"
    seed: int = 0
    value_range: float = 255

    def change(self, image: np.ndarray) -> np.ndarray:
        new = image.copy()
        for index, (x1, y1, x2, y2) in enumerate(self.rectangles):
            hidden = new[y1:y2, x1:x2]
            hidden[:] = self._noise(hidden, index) if self.fill == "noise" else self._colour(image)
        return new

    def _noise(self, hidden: np.ndarray, index: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, index])
        if np.issubdtype(hidden.dtype, np.integer):
            return rng.integers(0, int(self.value_range), hidden.shape, hidden.dtype, endpoint=True)
        return rng.random(hidden.shape, np.float32) * self.value_range

    def _colour(self, image: np.ndarray) -> np.ndarray:
        if self.fill == "mean":
            # Of columns first: over long rows, sums of each channel are several times faster.
            colour = image.mean(axis=0, dtype=np.float64).mean(axis=0)
        else:
            colour = np.ravel(np.array(self.fill, np.float64))
        if len(colour) not in (1, image.shape[2]):
            raise ValueError(
                f"fill must be one number, or one for each of {image.shape[2]} channels. "
                f"Received: fill={self.fill}"
            )
        return rounded(colour, image.dtype)


@TRANSFORMS.register("cutout")
class Cutout(Sometimes):
    """Hides rectangles of pictures, of any number of channels (DeVries and Taylor 2017).

    As in that paper and in Random Erasing (Zhong et al. 2017), whose sizes and shapes these are,
    what is annotated stays as it is: objects keep outline, box and keypoints, though part of them
    or all is hidden, for a model shall learn to go by what is left. So keep areas small where
    objects are small.

    The area of a rectangle is a random part of the picture's, its aspect ratio (height over width)
    is random on a logarithmic scale, its sides are rounded to whole pixels, at least one and at
    most the picture's, and it lies anywhere within the picture.

    Args:
        count: of rectangles, or the lowest and highest.
        area: part of the picture, in 0..1, that each covers, or the lowest and highest.
        aspect: height over width of each, or the lowest and highest.
        fill: a value, or one for each channel, in 0..`value_range`; `"mean"`: that of the picture,
            for each channel; `"noise"`: random values, each as likely. Rounded to the nearest in
            pictures of integers.
        probability: with which rectangles of a picture are hidden, in 0..1.
        value_range: the highest value of a pixel.

    Raises:
        ValueError: if a setting is out of range; of pictures of other channels than `fill` has.
    """

    def __init__(
        self,
        *,
        count: int | tuple[int, int] = 1,
        area: float | tuple[float, float] = (0.02, 0.2),
        aspect: float | tuple[float, float] = (0.3, 3.3),
        fill: str | float | tuple[float, ...] = "mean",
        probability: float = 0.5,
        value_range: float = 255,
    ) -> None:
        super().__init__(probability=probability)
        check_value_range(value_range)
        self.count = number_range("count", count, 0, 1000, whole=True)
        self.area = number_range("area", area, 0, 1)
        self.aspect = number_range("aspect", aspect, 0.01, 100)
        self.fill = _checked_fill(fill, value_range)
        self.value_range = value_range

    def draw_always(self, rng: np.random.Generator, sample: Sample) -> CutoutAction | None:
        count = int(rng.integers(*self.count, endpoint=True))
        rectangles = tuple(self._rectangle(rng, *sample.size) for _ in range(count))
        seed = int(rng.integers(2**32))
        return CutoutAction(rectangles, self.fill, seed, self.value_range)

    def _rectangle(
        self, rng: np.random.Generator, height: int, width: int
    ) -> tuple[int, int, int, int]:
        area = rng.uniform(*self.area) * height * width
        aspect = np.exp(rng.uniform(*np.log(self.aspect)))
        high = int(np.clip(np.rint(np.sqrt(area * aspect)), 1, height))
        wide = int(np.clip(np.rint(np.sqrt(area / aspect)), 1, width))
        x1 = int(rng.integers(width - wide, endpoint=True))
        y1 = int(rng.integers(height - high, endpoint=True))
        return x1, y1, x1 + wide, y1 + high


def _checked_fill(fill: Any, value_range: float) -> Any:
    if fill in ("mean", "noise"):
        return fill
    values = tuple(fill) if isinstance(fill, Sequence) and not isinstance(fill, str) else (fill,)
    try:
        for value in values:
            number_range("fill", value, 0, value_range)
    except ValueError:
        raise ValueError(
            f"fill must be 'mean', 'noise', a number in 0..{value_range}, or one for each channel. "
            f"Received: fill={fill!r}"
        ) from None
    return values if isinstance(fill, Sequence) else fill
