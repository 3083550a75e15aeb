"""Brightness, contrast, saturation, hue, and grey."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_maskrcnn.checks import fraction
from keras_maskrcnn.data.transforms.base import TRANSFORMS, Sample, Sometimes
from keras_maskrcnn.data.transforms.pixels import (
    PixelAction,
    check_value_range,
    from_planes,
    number_range,
    to_planes,
)

# Rec. 601's weights of red, green and blue. Their sum is 1, so that grey stays grey.
_LUMA = (0.299, 0.587, 0.114)
# Of a step that changes nothing; hue turns by it, the others multiply.
_IDENTITY = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}
# Pixels whose hue is turned at a time: what is computed of them stays in the processor's cache.
_CHUNK = 16384

Range = float | tuple[float, float]


@dataclasses.dataclass(frozen=True)
class ColorAction(PixelAction):
    """Changes colours, step after step.

    Args:
        steps: name (`"brightness"`, `"contrast"`, `"saturation"`, `"hue"`) and factor of each.
        value_range: the highest value of a pixel.
    """

    steps: tuple[tuple[str, float], ...]
    value_range: float = 255

    def change(self, image: np.ndarray) -> np.ndarray:
        coloured = () if image.shape[2] == 3 else ("saturation", "hue")
        steps = [s for s in self.steps if s[1] != _IDENTITY[s[0]] and s[0] not in coloured]
        if not steps:
            return image
        planes = to_planes(image)
        for name, factor in steps:
            _STEPS[name](planes, factor)
            np.clip(planes, 0, self.value_range, out=planes)
        return from_planes(planes, image.dtype)


def _brightness(planes: np.ndarray, factor: float) -> None:
    planes *= factor


def _contrast(planes: np.ndarray, factor: float) -> None:
    of = _luma(planes) if len(planes) == 3 else planes
    mean = float(of.mean(dtype=np.float64))
    planes *= factor
    planes += (1 - factor) * mean


def _saturation(planes: np.ndarray, factor: float) -> None:
    grey = _luma(planes)
    grey *= 1 - factor
    planes *= factor
    planes += grey


def _hue(planes: np.ndarray, turn: float) -> None:
    """Turns the hue by that part of the circle, of 6 sixths, in HSV (Smith 1978)."""
    flat = planes.reshape(3, -1)
    for start in range(0, flat.shape[1], _CHUNK):
        chunk = flat[:, start : start + _CHUNK]
        red, green, blue = chunk
        high, low = chunk.max(axis=0), chunk.min(axis=0)
        span = high - low
        by = np.where(span > 0, span, 1)
        hue = np.where(
            high == red,
            (green - blue) / by,
            np.where(high == green, (blue - red) / by + 2, (red - green) / by + 4),
        )
        hue += 6 * turn
        hue -= 6 * np.floor(hue / 6)
        # How far each channel is above the lowest, as part of the span.
        parts = (np.abs(hue - 3) - 1, 2 - np.abs(hue - 2), 2 - np.abs(hue - 4))
        for channel, part in zip(chunk, parts, strict=True):
            channel[:] = low + span * np.clip(part, 0, 1)


def _luma(planes: np.ndarray) -> np.ndarray:
    """float32 `[H, W]`."""
    red, green, blue = _LUMA
    grey = planes[0] * red
    grey += planes[1] * green
    grey += planes[2] * blue
    return grey


_STEPS: dict[str, Callable[[np.ndarray, float], None]] = {
    "brightness": _brightness,
    "contrast": _contrast,
    "saturation": _saturation,
    "hue": _hue,
}


@TRANSFORMS.register("color")
class Color(Sometimes):
    """Changes brightness, contrast, saturation and hue, in a random order, each by a random factor.

    The conventions are those of torchvision's `ColorJitter`. With a factor `f`, and `x` a pixel:

    - brightness: `f * x`
    - contrast: `f * x + (1 - f) * m`, where `m` is the picture's mean luma (of any other number of
      channels than 3, the mean of all values)
    - saturation: `f * x + (1 - f) * luma(x)`; 0 is grey
    - hue: turned by `f` of the full circle in HSV

    where `luma` is `.299 R + .587 G + .114 B`. After each step values are clipped to 0 and
    `value_range`. All is computed in float32 and, for pictures of integers, rounded once, at the
    end, to the nearest; torchvision and Pillow cut the fraction off after each step, torchvision
    has .2989 of red, and Pillow rounds `m`. So theirs are up to a level per step darker.

    Pictures of any other number of channels than 3 have no saturation and hue: these leave them as
    they are.

    Args:
        brightness, contrast, saturation: strength `s`, from which factors of `max(0, 1 - s)` to
            `1 + s` are drawn, or the lowest and highest factor. 0 leaves it out.
        hue: strength in 0..0.5, from which `-s` to `s` of the circle is drawn, or the lowest and
            highest in -0.5..0.5.
        grey: probability, in 0..1, with which a picture then becomes grey.
        probability: with which a picture is changed at all, in 0..1.
        value_range: the highest value of a pixel.

    The defaults are those that SSD was trained with (Liu et al. 2016), as torchvision's
    `RandomPhotometricDistort` has them.

    Raises:
        ValueError: if a setting is out of range.
    """

    def __init__(
        self,
        *,
        brightness: Range = 0.125,
        contrast: Range = 0.5,
        saturation: Range = 0.5,
        hue: Range = 0.05,
        grey: float = 0.0,
        probability: float = 1.0,
        value_range: float = 255,
    ) -> None:
        super().__init__(probability=probability)
        fraction(grey=grey)
        check_value_range(value_range)
        self.ranges = {
            "brightness": _factors("brightness", brightness),
            "contrast": _factors("contrast", contrast),
            "saturation": _factors("saturation", saturation),
            "hue": _turns(hue),
        }
        self.grey = grey
        self.value_range = value_range

    def draw_always(self, rng: np.random.Generator, sample: Sample) -> ColorAction | None:
        steps = []
        for index in rng.permutation(len(self.ranges)):
            name, (low, high) = list(self.ranges.items())[index]
            factor = float(rng.uniform(low, high))
            if factor != _IDENTITY[name]:
                steps.append((name, factor))
        if rng.random() < self.grey:
            steps.append(("saturation", 0.0))
        return ColorAction(tuple(steps), self.value_range) if steps else None


def _factors(name: str, value: Any) -> tuple[float, float]:
    low, high = number_range(name, value, 0, float("inf"))
    return (low, high) if isinstance(value, list | tuple) else (max(0.0, 1 - high), 1 + high)


def _turns(value: Any) -> tuple[float, float]:
    if isinstance(value, list | tuple):
        return number_range("hue", value, -0.5, 0.5)
    _, high = number_range("hue", value, 0, 0.5)
    return -high, high
