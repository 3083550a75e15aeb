"""Pictures are seen from another place."""

from __future__ import annotations

import dataclasses

import numpy as np

from keras_maskrcnn.checks import fraction
from keras_maskrcnn.data.transforms.base import TRANSFORMS, Sample
from keras_maskrcnn.data.transforms.resampling import Fill
from keras_maskrcnn.data.transforms.warp import Warp, Warping

# From a quarter on, the four corners may no longer be those of a convex shape.
_FARTHEST = 0.24
_CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])


@dataclasses.dataclass(frozen=True)
class PerspectiveAction(Warp):
    """Moves the corners of a picture; straight lines stay straight.

    Args:
        corners: how far, as x, y in parts of its width and height: of the corner at the top left,
            then clockwise.
    """

    corners: tuple[tuple[float, float], ...]

    def matrix(self, height: int, width: int) -> np.ndarray:
        # Each corner gives two equations for the first eight of the nine numbers; the last is 1.
        equations, values = [], []
        for (x, y), (u, v) in zip(_CORNERS, _CORNERS + self.corners, strict=True):
            equations += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
            values += [u, v]
        square = np.append(np.linalg.solve(equations, values), 1.0).reshape(3, 3)
        return np.diag([width, height, 1.0]) @ square @ np.diag([1 / width, 1 / height, 1.0])


@TRANSFORMS.register("perspective")
class Perspective(Warping):
    """Moves each corner of pictures, inwards or outwards, on its own.

    Args:
        displacement: how far at most, in parts of the width along x and of the height along y, in
            0..0.24; what happens is drawn uniformly.
        probability, fill, min_visible: see `Warping`.

    Raises:
        ValueError: for a setting that is out of range.
    """

    def __init__(
        self,
        *,
        displacement: float = 0.1,
        probability: float = 1.0,
        fill: Fill = "mean",
        min_visible: float = 0.0,
    ) -> None:
        super().__init__(probability=probability, fill=fill, min_visible=min_visible)
        fraction(displacement=displacement)
        if displacement > _FARTHEST:
            raise ValueError(
                f"displacement must be at most {_FARTHEST}. Received: displacement={displacement!r}"
            )
        self.displacement = displacement

    def draw_always(self, rng: np.random.Generator, sample: Sample) -> PerspectiveAction | None:
        moved = rng.uniform(-self.displacement, self.displacement, (4, 2)).tolist()
        corners = tuple((x, y) for x, y in moved)
        return PerspectiveAction(corners, **self.beyond)
