"""Moves whose pixels follow from their matrix too."""

from __future__ import annotations

import dataclasses

import numpy as np

from keras_maskrcnn.data.transforms.move import Move
from keras_maskrcnn.data.transforms.resampling import Fill, resample


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
