"""Gaussian blur."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from keras_maskrcnn.data.transforms.base import TRANSFORMS, Sample, Sometimes
from keras_maskrcnn.data.transforms.pixels import (
    PixelAction,
    from_planes,
    number_range,
    to_planes,
)

# Rows or columns that one product of matrices makes: few, for most of its numbers are zero.
_BLOCK = 32


@dataclasses.dataclass(frozen=True)
class BlurAction(PixelAction):
    """Blurs a picture.

    Args:
        sigma: standard deviation, in pixels; 0 leaves it as it is.
    """

    sigma: float

    def change(self, image: np.ndarray) -> np.ndarray:
        radius = int(4 * self.sigma + 0.5)
        if not radius:
            return image
        band = _band(self.sigma, radius)
        planes = to_planes(image)
        for plane in planes:
            _blur_rows(plane, band)
            _blur_columns(plane, np.ascontiguousarray(band.T))
        return from_planes(planes, image.dtype)


# Pasting blurs a window of each object, all by the same sigma.
@functools.lru_cache(maxsize=8)
def _band(sigma: float, radius: int) -> np.ndarray:
    """Row i holds the weights from column i on, as the i-th pixel sees its neighbours."""
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    band = np.zeros((_BLOCK, _BLOCK + 2 * radius), np.float32)
    for row in range(_BLOCK):
        band[row, row : row + 2 * radius + 1] = weights / weights.sum()
    band.setflags(write=False)
    return band


def _blur_rows(plane: np.ndarray, band: np.ndarray) -> None:
    """Makes each row of `[n, m]` a mean of its neighbours."""
    reach = band.shape[1] - _BLOCK
    padded = np.pad(plane, ((reach // 2, reach // 2), (0, 0)), mode="reflect")
    for start in range(0, len(plane), _BLOCK):
        count = min(_BLOCK, len(plane) - start)
        seen = padded[start : start + count + reach]
        np.matmul(band[:count, : count + reach], seen, out=plane[start : start + count])


def _blur_columns(plane: np.ndarray, band: np.ndarray) -> None:
    """As `_blur_rows`, with the turned band: turning the plane would take longer."""
    reach = len(band) - _BLOCK
    padded = np.pad(plane, ((0, 0), (reach // 2, reach // 2)), mode="reflect")
    for start in range(0, plane.shape[1], _BLOCK):
        count = min(_BLOCK, plane.shape[1] - start)
        seen = padded[:, start : start + count + reach]
        plane[:, start : start + count] = seen @ band[: count + reach, :count]


@TRANSFORMS.register("blur")
class Blur(Sometimes):
    """Blurs pictures by a Gaussian, of any number of channels and range of values.

    The weights are those of scipy's `gaussian_filter`, `exp(-d^2 / (2 sigma^2))` for distances up
    to `round(4 sigma)` pixels, and sum to 1; beyond the border the picture is mirrored about its
    outermost pixels, as torchvision's `GaussianBlur` does (which cuts its weights at the size that
    it is given). Computed in float32; pictures of integers are rounded once, to the nearest.

    Args:
        sigma: standard deviation in pixels, or the lowest and highest. The default is
            torchvision's. A sigma below 1/8 leaves the picture as it is.
        probability: with which each is blurred, in 0..1.

    Raises:
        ValueError: if a setting is out of range.
    """

    def __init__(
        self, *, sigma: float | tuple[float, float] = (0.1, 2.0), probability: float = 0.5
    ) -> None:
        super().__init__(probability=probability)
        self.sigma = number_range("sigma", sigma, 0, 1000)

    def draw_always(self, rng: np.random.Generator, sample: Sample) -> BlurAction | None:
        return BlurAction(float(rng.uniform(*self.sigma)))
