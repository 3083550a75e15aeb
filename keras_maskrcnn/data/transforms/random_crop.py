"""A part of the picture."""

from __future__ import annotations

import dataclasses

import numpy as np

from keras_maskrcnn.checks import fraction
from keras_maskrcnn.data.transforms.base import TRANSFORMS, Sample, Sometimes
from keras_maskrcnn.data.transforms.move import Move
from keras_maskrcnn.data.transforms.settings import number_range, picture_size

# Places that are tried for a window that cuts few objects.
_PLACES = 50


@dataclasses.dataclass(frozen=True)
class CropAction(Move):
    """Cuts a window out of a picture.

    Args:
        corner: y and x of its top left corner, whole pixels.
        size: its height and width; it must lie within the picture.
        min_visible: see `Move`.
    """

    corner: tuple[int, int]
    size: tuple[int, int]
    min_visible: float = 0.0

    def matrix(self, height: int, width: int) -> np.ndarray:
        return np.array([[1.0, 0.0, -self.corner[1]], [0.0, 1.0, -self.corner[0]]])

    def new_size(self, height: int, width: int) -> tuple[int, int]:
        return self.size

    def move_pixels(self, image: np.ndarray) -> np.ndarray:
        (top, left), (height, width) = self.corner, self.size
        return image[top : top + height, left : left + width]


@TRANSFORMS.register("random_crop")
class RandomCrop(Sometimes):
    """Cuts a window out of pictures. Its size is drawn first, then its place.

    Args:
        part: `(low, high)` in 0..1 from which its height, as a part of the picture's, and likewise
            its width are drawn, each uniformly (detectron2's `relative_range` is `(low, 1)`).
        size: of the window in pixels instead: of a square's side, or `(height, width)`, where the
            picture is as large; `part` then counts for nothing.
        whole_objects: whether, of 50 places, the first is taken that cuts the fewest objects, among
            those with a whole one in it where there are such; otherwise the first at all.
        probability: with which it happens to each picture, in 0..1.
        min_visible: part of its area, in 0..1, that must be left of an object that is cut.

    Raises:
        ValueError: for a setting that is out of range.
    """

    def __init__(
        self,
        *,
        part: tuple[float, float] = (0.5, 1.0),
        size: int | tuple[int, int] | None = None,
        whole_objects: bool = True,
        probability: float = 1.0,
        min_visible: float = 0.0,
    ) -> None:
        super().__init__(probability=probability)
        fraction(min_visible=min_visible)
        self.part = number_range("part", part, 0, 1)
        self.size = picture_size("size", size)
        self.whole_objects = whole_objects
        self.min_visible = min_visible

    def draw_always(self, rng: np.random.Generator, sample: Sample) -> CropAction | None:
        picture = np.array(sample.size)
        if self.size is None:
            size = np.maximum(np.round(picture * rng.uniform(*self.part, 2)), 1).astype(int)
        else:
            size = np.minimum(self.size, picture)
        places = _PLACES if self.whole_objects else 1
        corners = rng.integers(0, picture - size + 1, (places, 2))
        boxes = np.array([o.box for o in sample.objects], np.float64).reshape(-1, 4)
        (top, left), (height, width) = corners[_best(corners, size, boxes)].tolist(), size.tolist()
        return CropAction((top, left), (height, width), self.min_visible)


def _best(corners: np.ndarray, size: np.ndarray, boxes: np.ndarray) -> int:
    """Which window cuts the fewest boxes, among those with a whole one in it.

    Args:
        corners: `[n, 2]`, y and x.
        size: `[2]`, height and width.
        boxes: `[N, 4]`, x1 y1 x2 y2.
    """
    low = corners[:, None, ::-1]
    high = low + size[::-1]
    is_whole = ((boxes[:, :2] >= low) & (boxes[:, 2:] <= high)).all(axis=-1)
    is_seen = ((boxes[:, 2:] > low) & (boxes[:, :2] < high)).all(axis=-1)
    cut = (is_seen & ~is_whole).sum(axis=1)
    return int(np.lexsort((cut, ~is_whole.any(axis=1)))[0])
