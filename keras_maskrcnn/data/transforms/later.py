"""Samples after moves, of which only what is asked for is made.

Legend: `H W` pixels of a picture, `h w` pixels of a window of it, `C` channels.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from keras_maskrcnn.data.records import Instance
from keras_maskrcnn.data.transforms.base import Action, Sample
from keras_maskrcnn.data.transforms.move import Move
from keras_maskrcnn.data.transforms.resampling import Fill, keeps_axes, resample
from keras_maskrcnn.data.transforms.warp import Warp

# In whole pixels: left, top, right, bottom.
Window = tuple[int, int, int, int]


class Later(Sample):
    """What a move will leave of a sample: pixels and objects are made when they are asked for.

    Moves in turn are one for the pixels, which are resampled once: what one move would bring out
    of sight and a later one back is seen.

    Args:
        before: the sample, or what another move will leave of one.
        move: whose pixels follow from its matrix.
    """

    _source: Sample
    _matrix: np.ndarray
    _size: tuple[int, int]
    _fill: Fill
    _moved: Callable[[], tuple[Instance, ...]]

    def __init__(self, before: Sample, move: Move) -> None:
        matrix = np.vstack([move.matrix(*before.size), [0.0, 0.0, 1.0]])[:3]
        fill: Fill = "mean"
        source = before
        # Of a picture that has moved, a part may lie beyond the horizon of a perspective.
        if isinstance(before, Later) and matrix[2].tolist() == [0, 0, 1]:
            source, matrix, fill = before._source, matrix @ before._matrix, before._fill
        fields = {
            "flip_pairs": before.flip_pairs,
            "around": before.around,
            "_source": source,
            "_matrix": matrix,
            "_size": move.new_size(*before.size),
            "_fill": move.fill if isinstance(move, Warp) else fill,
            "_moved": lambda: move.move_instances(before),
        }
        for name, value in fields.items():
            # As a frozen dataclass sets its fields; the other two are properties.
            object.__setattr__(self, name, value)

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    @functools.cached_property
    def image(self) -> np.ndarray:  # type: ignore[override]  # A field, elsewhere.
        return resample(self._source.image, self._matrix, self._size, self._fill)

    @functools.cached_property
    def instances(self) -> tuple[Instance, ...]:  # type: ignore[override]  # A field, elsewhere.
        return self._moved()

    def part(self, window: Window) -> np.ndarray:
        """The pixels of a window of it, `[h, w, C]`; of the picture, no more is made where axes
        stay axes (values of type uint8 may differ by 1 from those of the whole picture)."""
        left, top, right, bottom = window
        if not keeps_axes(self._matrix):
            return self.image[top:bottom, left:right]
        there = np.array([[1.0, 0.0, -left], [0.0, 1.0, -top], [0.0, 0.0, 1.0]]) @ self._matrix
        return resample(self._source.image, there, (bottom - top, right - left), self._fill)


def apply_later(action: Action, sample: Sample) -> Sample:
    """The sample after an action, which is done later where it can be."""
    if isinstance(action, Warp) or (
        isinstance(action, Move) and action.turn(*sample.size) is not None
    ):
        return Later(sample, action)
    now = Sample(sample.image, sample.instances, sample.flip_pairs, sample.around)
    return action.apply(now)
