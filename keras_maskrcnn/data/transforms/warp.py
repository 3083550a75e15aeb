"""Moves whose pixels follow from their matrix too."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from keras_maskrcnn.checks import fraction
from keras_maskrcnn.data.transforms.base import Sometimes
from keras_maskrcnn.data.transforms.move import Move
from keras_maskrcnn.data.transforms.resampling import Fill, resample
from keras_maskrcnn.data.transforms.settings import fill_value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Warp(Move):
    """A move that resamples the picture by its matrix, see `resample`.

    Args:
        fill: what lies beyond the picture; see `resample`.
        min_visible: see `Move`.
    """

    fill: Fill = "mean"
    min_visible: float = 0.0

    def move_pixels(self, image: np.ndarray) -> np.ndarray:
        size = image.shape[0], image.shape[1]
        return resample(image, self.matrix(*size), self.new_size(*size), self.fill)


class Warping(Sometimes):
    """Base of transforms that draw warps.

    Args:
        probability: with which it happens to each picture, in 0..1.
        fill: 0..255, or such a number for each channel: what lies beyond the picture. `"mean"`:
            ImageNet's of RGB, with any other number of channels the picture's own.
        min_visible: part of its area, in 0..1, that must be left of an object that is cut.

    Raises:
        ValueError: for a setting that is out of range.
    """

    def __init__(
        self, *, probability: float = 1.0, fill: Fill = "mean", min_visible: float = 0.0
    ) -> None:
        super().__init__(probability=probability)
        fraction(min_visible=min_visible)
        self.fill = fill_value(fill)
        self.min_visible = min_visible

    @property
    def beyond(self) -> dict[str, Any]:
        """The arguments of a warp that say what becomes of what lies beyond the picture."""
        return {"fill": self.fill, "min_visible": self.min_visible}
