"""Actions that move pixels: what they do to objects follows from one matrix.

Legend: `H W` pixels of a picture, `J` keypoints.
"""

from __future__ import annotations

import abc
import dataclasses

import numpy as np

from keras_maskrcnn.data.moving import InstanceMover
from keras_maskrcnn.data.records import Instance
from keras_maskrcnn.data.transforms.base import Action, Sample
from keras_maskrcnn.outlines.raster import moves_cells_to_cells


class Move(Action):
    """An action that moves the picture and all that is on it.

    A subclass says where points go, how large the new picture is, and makes its pixels. The rest
    follows: outlines are cut at the old picture's border, beyond which nothing is seen, moved, and
    cut at the new picture's; a flip or turn of the whole picture cuts nothing. A box that stays one
    (its axes stay axes, and nothing of it is cut) is moved as it was annotated; else it becomes the
    bounds of the outline that is left, or without an outline, of what is left of the moved box, and
    its area is measured. Keypoints that leave the picture, or were not on it, count as not
    labelled; a mirror exchanges those of `flip_pairs`. Objects and crowd regions that leave the
    picture are dropped.

    Attributes:
        min_visible: the part of its area that must be left of an object that is cut; with less, it
            is dropped.
    """

    min_visible: float = 0.0

    @abc.abstractmethod
    def matrix(self, height: int, width: int) -> np.ndarray:
        """From x, y, 1 of a picture of that size to the new x, y, in continuous pixels: `[2, 3]`
        (affine) or `[3, 3]` (perspective)."""

    def new_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the new picture; by default those of the old."""
        return height, width

    @abc.abstractmethod
    def move_pixels(self, image: np.ndarray) -> np.ndarray:
        """The new picture, of `new_size` and the same type."""

    def turn(self, height: int, width: int) -> np.ndarray | None:
        mover = self._mover((height, width))
        is_turn = mover.cuts_nothing and moves_cells_to_cells(mover.matrix)
        return mover.matrix[:2, :2] if is_turn else None

    def apply(self, sample: Sample) -> Sample:
        image = self.move_pixels(sample.image)
        size = self.new_size(*sample.size)
        if image.shape[:2] != size:
            raise ValueError(
                f"{type(self).__name__} must give a picture of its new_size {size}. "
                f"Received: image of shape {image.shape}"
            )
        return dataclasses.replace(sample, image=image, instances=self.move_instances(sample))

    def move_instances(self, sample: Sample) -> tuple[Instance, ...]:
        """The objects and crowd regions of the sample after it."""
        return self._mover(sample.size).instances(sample.instances, sample.flip_pairs)

    def _mover(self, size: tuple[int, int]) -> InstanceMover:
        return InstanceMover(self.matrix(*size), size, self.new_size(*size), self.min_visible)
