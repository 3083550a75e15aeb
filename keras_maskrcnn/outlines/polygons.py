"""Outlines of straight edges.

Legend: `V` vertices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from keras_maskrcnn.outlines.base import Box, Outline
from keras_maskrcnn.outlines.coverage import loops_coverage
from keras_maskrcnn.outlines.geometry import cut_loops, move_points
from keras_maskrcnn.outlines.rle import RLE

# `area` is exact whatever the grid, unless an outline crosses itself or parts overlap: then each
# cell in which that happens is a little off.
_AREA_SIDE = 64


class Polygons(Outline):
    """One or more polygons. Their union counts; within one, the even-odd rule holds, as in COCO.

    Args:
        parts: for each polygon `[x, y, x, y, ...]` as COCO writes it, or an array `[V, 2]`. They
            are kept as given, and become arrays when they are first used.
    """

    __slots__ = ("_groups", "_parts")

    def __init__(self, parts: Sequence[Any]) -> None:
        self._parts: Sequence[Any] | None = parts
        self._groups: list[list[np.ndarray]] | None = None

    @classmethod
    def from_loops(cls, groups: list[list[np.ndarray]]) -> Polygons:
        """Polygons of several loops each, such as an outer edge and its holes.

        Args:
            groups: for each polygon its loops `[V, 2]`, which the even-odd rule joins.
        """
        made = cls(())
        made._parts, made._groups = None, groups
        return made

    @property
    def groups(self) -> list[list[np.ndarray]]:
        """For each polygon its loops, float64 `[V, 2]`."""
        if self._groups is None:
            self._groups = [
                [np.asarray(part, np.float64).reshape(-1, 2)] for part in self._parts or ()
            ]
        return self._groups

    def __repr__(self) -> str:
        vertices = sum(len(loop) for group in self.groups for loop in group)
        return f"Polygons({len(self.groups)} parts, {vertices} vertices)"

    def bounds(self) -> Box:
        loops = [loop for group in self.groups for loop in group]
        if not loops:
            return 0.0, 0.0, 0.0, 0.0
        points = np.concatenate(loops)
        (x1, y1), (x2, y2) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        return x1, y1, x2, y2

    def area(self) -> float:
        x1, y1, x2, y2 = box = self.bounds()
        if not (x2 > x1 and y2 > y1):
            return 0.0
        return float(self.coverage(box, _AREA_SIDE).mean()) * (x2 - x1) * (y2 - y1)

    def transform(self, matrix: np.ndarray) -> Polygons:
        """Exact: vertices are moved, and a straight edge stays straight. See `Outline`."""
        return Polygons.from_loops(
            [[move_points(loop, matrix) for loop in group] for group in self.groups]
        )

    def crop(self, box: Sequence[float]) -> Polygons | None:
        """Exact; see `Outline`. What does not reach out of the box is given back as it is."""
        x1, y1, x2, y2 = self.bounds()
        if x1 >= box[0] and y1 >= box[1] and x2 <= box[2] and y2 <= box[3]:
            return self if self.area() > 0 else None
        cut = (cut_loops(group, box) for group in self.groups)
        found = Polygons.from_loops([group for group in cut if group])
        return found if found.area() > 0 else None

    def coverage(self, box: Sequence[float], side: int) -> np.ndarray:
        total = np.zeros((side, side))
        for group in self.groups:
            total += loops_coverage(group, box, side)
        if len(self.groups) > 1:
            np.minimum(total, 1.0, out=total)
        return total

    def draw_whole(self, height: int, width: int) -> np.ndarray:
        return self.to_rle(height, width).draw_whole(height, width)

    def to_rle(self, height: int, width: int) -> RLE:
        parts = self.to_coco(height, width)
        if not parts:
            return RLE((height, width), [height * width]).to_rle(height, width)
        rle = coco_mask.merge(coco_mask.frPyObjects(parts, height, width))
        return RLE((height, width), rle["counts"])

    def to_coco(self, height: int, width: int) -> list[list[float]]:
        """Polygons, whatever the picture's size. Loops are joined by slits without width."""
        if self._parts is None:
            self._parts = [_joined(group).ravel().tolist() for group in self.groups]
        return [
            part if isinstance(part, list) else np.asarray(part).ravel().tolist()
            for part in self._parts
        ]


def _joined(loops: list[np.ndarray]) -> np.ndarray:
    """One loop: from the first vertex of the first to each other one, around it, and back."""
    home = loops[0][:1]
    ways = [np.concatenate([loop, loop[:1], home]) for loop in loops[1:]]
    return np.concatenate([loops[0], *([home] if ways else []), *ways])
