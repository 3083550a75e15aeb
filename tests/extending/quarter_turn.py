"""A stranger's transform: pictures taken from above have no up. Public names only."""

import dataclasses

import numpy as np

from keras_maskrcnn.data.transforms import TRANSFORMS, Move, Transform


@dataclasses.dataclass(frozen=True)
class TurnBy(Move):
    """Turns a picture clockwise, so many quarters."""

    quarters: int

    def matrix(self, height, width):
        return {
            1: np.array([[0.0, -1.0, height], [1.0, 0.0, 0.0]]),
            2: np.array([[-1.0, 0.0, width], [0.0, -1.0, height]]),
            3: np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, width]]),
        }[self.quarters]

    def new_size(self, height, width):
        return (height, width) if self.quarters == 2 else (width, height)

    def move_pixels(self, image):
        return np.rot90(image, -self.quarters)


@TRANSFORMS.register("my_quarter_turn")
class QuarterTurn(Transform):
    """Turns each picture by 0, 1, 2 or 3 quarters, or by those of `quarters`."""

    def __init__(self, *, quarters=(0, 1, 2, 3)):
        self.quarters = quarters

    def draw(self, rng, sample):
        quarters = int(rng.choice(self.quarters))
        return TurnBy(quarters) if quarters else None
