"""Several moves, one resampling: faster, and sharper."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_maskrcnn.checks import fraction
from keras_maskrcnn.data.transforms.base import TRANSFORMS, Sample, Transform, make_transforms
from keras_maskrcnn.data.transforms.later import Later
from keras_maskrcnn.data.transforms.move import Move
from keras_maskrcnn.data.transforms.resampling import Fill
from keras_maskrcnn.data.transforms.settings import fill_value
from keras_maskrcnn.data.transforms.warp import Warp


@dataclasses.dataclass(frozen=True)
class FusedMove(Warp):
    """Does several moves at once.

    Nothing is lost between them: objects are cut at the last picture's border only, and what one
    move would bring out of sight and a later one back is seen. Their own `fill` and `min_visible`
    count for nothing.

    Args:
        moves: in turn. Only the first may be a perspective: of a picture that has moved, a part may
            lie beyond the horizon of another.
    """

    moves: tuple[Move, ...]

    def matrix(self, height: int, width: int) -> np.ndarray:
        whole = np.eye(3)
        for move in self.moves:
            rows = np.vstack([move.matrix(height, width), [0.0, 0.0, 1.0]])[:3]
            whole = rows @ whole
            height, width = move.new_size(height, width)
        return whole

    def new_size(self, height: int, width: int) -> tuple[int, int]:
        for move in self.moves:
            height, width = move.new_size(height, width)
        return height, width

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "moves": [move.describe() for move in self.moves]}


@TRANSFORMS.register("fused")
class Fused(Transform):
    """Does what its transforms draw in one move, which resamples pictures once.

    Each transform draws for what the earlier ones leave.

    Args:
        transforms: as `augment` takes them, such as `["rotate", "shear", "flip"]`; all of them must
            draw moves. A perspective can only be the first.
        fill: 0..255, or such a number for each channel: what lies beyond the picture. `"mean"`:
            ImageNet's of RGB, with any other number of channels the picture's own.
        min_visible: part of its area, in 0..1, that must be left of an object that is cut.

    Raises:
        ValueError: for a setting that is out of range or a transform that is unknown; when drawing,
            for a perspective after another move.
        TypeError: for what is no transform; when drawing, for an action that is no move.
    """

    def __init__(
        self,
        *,
        transforms: Any = ("rotate", "shear", "scale_jitter"),
        fill: Fill = "mean",
        min_visible: float = 0.0,
    ) -> None:
        fraction(min_visible=min_visible)
        self.transforms: Sequence[Transform] = make_transforms(transforms)
        self.fill = fill_value(fill)
        self.min_visible = min_visible

    def draw(self, rng: np.random.Generator, sample: Sample) -> FusedMove | None:
        moves: tuple[Move, ...] = ()
        seen, fused = sample, None
        for transform in self.transforms:
            move = transform.draw(rng, seen)
            if move is None:
                continue
            if not isinstance(move, Move):
                raise TypeError(
                    "transforms must draw moves, as those of this library that move pixels do. "
                    f"Received: {type(transform).__name__}, which drew {type(move).__name__}"
                )
            is_affine = np.vstack([move.matrix(*seen.size), [0, 0, 1]])[2].tolist() == [0, 0, 1]
            if moves and not is_affine:
                raise ValueError(
                    "a perspective must be the first of the transforms that are fused. "
                    f"Received: {type(move).__name__} after {type(moves[-1]).__name__}"
                )
            moves = (*moves, move)
            fused = FusedMove(moves, fill=self.fill, min_visible=self.min_visible)
            seen = Later(sample, fused)
        return fused

    def get_config(self) -> dict[str, Any]:
        described = [transform.get_config() for transform in self.transforms]
        return {
            "name": TRANSFORMS.name_of(type(self)),
            "transforms": described,
            "fill": list(self.fill) if isinstance(self.fill, tuple) else self.fill,
            "min_visible": self.min_visible,
        }
