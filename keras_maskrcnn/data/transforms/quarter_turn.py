"""Pictures without up and down: turned by right angles."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from keras_maskrcnn.data.transforms.base import TRANSFORMS, Sample, Transform
from keras_maskrcnn.data.transforms.move import Move


@dataclasses.dataclass(frozen=True)
class QuarterTurnAction(Move):
    """Turns a picture clockwise.

    Args:
        quarters: by how many right angles, 1..3.
    """

    quarters: int

    def matrix(self, height: int, width: int) -> np.ndarray:
        if self.quarters == 1:
            return np.array([[0.0, -1.0, height], [1.0, 0.0, 0.0]])
        if self.quarters == 2:
            return np.array([[-1.0, 0.0, width], [0.0, -1.0, height]])
        return np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, width]])

    def new_size(self, height: int, width: int) -> tuple[int, int]:
        return (height, width) if self.quarters == 2 else (width, height)

    def move_pixels(self, image: np.ndarray) -> np.ndarray:
        return np.rot90(image, -self.quarters)


@TRANSFORMS.register("quarter_turn")
class QuarterTurn(Transform):
    """Turns pictures clockwise by right angles; no pixel changes its value.

    Args:
        quarters: by how many, each of 0..3 and each equally likely; by default all four.

    Raises:
        ValueError: if `quarters` is anything else.
    """

    def __init__(self, *, quarters: Sequence[int] = (0, 1, 2, 3)) -> None:
        if not quarters or any(q not in (0, 1, 2, 3) for q in quarters):
            raise ValueError(f"quarters must be some of 0, 1, 2, 3. Received: quarters={quarters}")
        self.quarters = tuple(quarters)

    def draw(self, rng: np.random.Generator, sample: Sample) -> QuarterTurnAction | None:
        quarters = int(rng.choice(self.quarters))
        return QuarterTurnAction(quarters) if quarters else None
