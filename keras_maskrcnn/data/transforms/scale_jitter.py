"""Objects of all sizes: a picture is resized, and cut or filled to a size that stays."""

from __future__ import annotations

import dataclasses

import numpy as np

from keras_maskrcnn.checks import fraction
from keras_maskrcnn.data.transforms.base import TRANSFORMS, Sample, Transform
from keras_maskrcnn.data.transforms.resampling import Fill
from keras_maskrcnn.data.transforms.settings import fill_value, number_range, picture_size
from keras_maskrcnn.data.transforms.warp import Warp

_SMALLEST, _LARGEST = 0.01, 100.0


@dataclasses.dataclass(frozen=True)
class ScaleJitterAction(Warp):
    """Resizes a picture and cuts a window out of it, which is filled at its right and bottom.

    Args:
        resized: height and width after resizing.
        corner: y and x of the window's top left corner in the resized picture.
        size: height and width of the window.
    """

    resized: tuple[int, int]
    corner: tuple[int, int]
    size: tuple[int, int]

    def matrix(self, height: int, width: int) -> np.ndarray:
        # Each axis by its own factor: sides are whole numbers of pixels.
        (new_height, new_width), (top, left) = self.resized, self.corner
        return np.array([[new_width / width, 0.0, -left], [0.0, new_height / height, -top]])

    def new_size(self, height: int, width: int) -> tuple[int, int]:
        return self.size


@TRANSFORMS.register("scale_jitter")
class ScaleJitter(Transform):
    """Resizes pictures by a factor, then cuts or fills them to a fixed size (large scale jitter:
    Ghiasi et al. 2021, arXiv 2012.07177).

    As detectron2's `ResizeScale` and `FixedSizeCrop`: a picture is resized to fit into `size` times
    the factor; from one that is larger than `size` a window is cut, at a place drawn uniformly; one
    that is smaller is filled at the right and the bottom. There, one random number places the
    window along both axes, so that none lies off the diagonal; here each axis has its own.
    detectron2 fills with 128.

    Only what will be seen is resized, and once: without a `size`, what comes out has that of the
    network's input, and the shape of the picture. The squares of 1024 pixels of the reference come
    of `size=1024`, in batches with `min_size=1024, max_size=1024`, which leave them as they are.

    Args:
        scale: `(low, high)` from which the factor is drawn uniformly, in 0.01..100; by default
            that of standard jitter, `(0.1, 2)` is that of large scale jitter.
        size: of the pictures that come out: pixels of a square's side, or `(height, width)`; by
            default what the network sees of each.
        fill: 0..255, or such a number for each channel: what lies beyond the picture. `"mean"`:
            ImageNet's of RGB, with any other number of channels the picture's own.
        min_visible: part of its area, in 0..1, that must be left of an object that is cut.

    Raises:
        ValueError: for a setting that is out of range.
    """

    def __init__(
        self,
        *,
        scale: tuple[float, float] = (0.8, 1.25),
        size: int | tuple[int, int] | None = None,
        fill: Fill = "mean",
        min_visible: float = 0.0,
    ) -> None:
        fraction(min_visible=min_visible)
        self.scale = number_range("scale", scale, _SMALLEST, _LARGEST)
        self.size = picture_size("size", size)
        self.fill = fill_value(fill)
        self.min_visible = min_visible

    def draw(self, rng: np.random.Generator, sample: Sample) -> ScaleJitterAction:
        old = np.array(sample.size)
        size = np.array(self.size or sample.input_size)
        factor = (size * rng.uniform(*self.scale) / old).min()
        resized = np.maximum(np.round(old * factor), 1)
        corner = np.round(np.maximum(resized - size, 0) * rng.random(2))
        return ScaleJitterAction(
            *(_whole(pair) for pair in (resized, corner, size)),
            fill=self.fill,
            min_visible=self.min_visible,
        )


def _whole(pair: np.ndarray) -> tuple[int, int]:
    return int(pair[0]), int(pair[1])
