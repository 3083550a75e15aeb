"""What happens to objects when their picture is moved, turned, scaled or cut.

Legend: `J` keypoints.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from keras_maskrcnn.data.records import Instance
from keras_maskrcnn.outlines import Outline, Polygons
from keras_maskrcnn.outlines.geometry import as_matrix, move_points

# An object of which less is left, along x or y, has vanished: float32 holds its box at any scale.
_THINNEST = 0.01
# Of x1, y1, x2, y2: which is x and which is y of each corner.
_CORNERS = np.array([[0, 1], [2, 1], [2, 3], [0, 3]])

Box = tuple[float, float, float, float]


class InstanceMover:
    """Moves the instances of one picture.

    Outlines are cut at the old picture's border, beyond which nothing is seen, moved, and cut at
    the new picture's; a flip or turn of the whole picture cuts nothing. A box that stays one (its
    axes stay axes, and nothing of it is cut) is moved as it was annotated; else it becomes the
    bounds of the outline that is left, or without an outline, of what is left of the moved box.
    Keypoints that leave the picture, or were not on it, count as not labelled. What leaves the
    picture is dropped.

    Args:
        matrix: from x, y, 1 of the old picture to x, y of the new one, in continuous pixels:
            `[2, 3]` (affine) or `[3, 3]` (perspective).
        old, new: sizes of the picture before and after, height and width.
        min_visible: the part of its area that must be left of an object that is cut; with less, it
            is dropped.
        enough: an area, in square pixels of the new picture, that is enough whatever part it is.

    Attributes:
        cuts_nothing: whether nothing leaves the picture, as in a flip or turn.
    """

    def __init__(
        self,
        matrix: np.ndarray,
        old: tuple[int, int],
        new: tuple[int, int],
        min_visible: float = 0.0,
        enough: float = math.inf,
    ) -> None:
        self.matrix = as_matrix(matrix)
        self.old_frame = (0.0, 0.0, float(old[1]), float(old[0]))
        self.frame = (0.0, 0.0, float(new[1]), float(new[0]))
        self.min_visible = min_visible
        self.enough = enough
        a, b, c, d = self.matrix[:2, :2].ravel().tolist()
        self.is_affine = len(self.matrix) == 2 or self.matrix[2].tolist() == [0, 0, 1]
        self.keeps_axes = self.is_affine and (b == c == 0 or a == d == 0)
        # Of a perspective, the sign is that of the determinant of all nine.
        determinant = a * d - b * c if self.is_affine else float(np.linalg.det(self.matrix))
        self.scale, self.mirrors = abs(determinant), determinant < 0
        # A flip or turn of all the picture cuts nothing, even of what reached out of it before.
        (picture,) = self._corners([self.old_frame])
        self.cuts_nothing = self.keeps_axes and _bounds(picture) == self.frame

    def instances(
        self, instances: Sequence[Instance], pairs: Sequence[tuple[int, int]] = ()
    ) -> tuple[Instance, ...]:
        """Those that do not vanish, moved.

        Args:
            instances: of the old picture.
            pairs: pairs of keypoint indices that a mirror exchanges.
        """
        corners = self._corners([instance.box for instance in instances])
        moved = [self._instance(i, c, pairs) for i, c in zip(instances, corners, strict=True)]
        return tuple(instance for instance in moved if instance is not None)

    def _instance(
        self, instance: Instance, corners: np.ndarray, pairs: Sequence[tuple[int, int]]
    ) -> Instance | None:
        """The moved instance; `None` where it has vanished."""
        outline = instance.outline
        if outline is not None:
            if not self.cuts_nothing and not _is_within(outline.bounds(), self.old_frame):
                outline = outline.crop(self.old_frame)
                if outline is None:
                    return None
            outline = outline.transform(self.matrix)
        box, area = _bounds(corners), instance.annotated_area
        area = None if area is None else area * self.scale
        if not (self.cuts_nothing or (self.keeps_axes and _is_within(box, self.frame))):
            whole = outline or Polygons([corners])
            left = whole.crop(self.frame)
            if left is None:
                return None
            box = left.bounds()
            if min(box[2] - box[0], box[3] - box[1]) < _THINNEST:
                return None
            is_cut = left is not whole
            if self.min_visible and is_cut and left.area() < self._needed(whole):
                return None
            # That of an outline is measured when it is asked for.
            area = None if outline else left.area()
            outline = outline and left
        points = instance.keypoints
        return dataclasses.replace(
            instance,
            box=box,
            outline=outline,
            annotated_area=area,
            keypoints=None if points is None else self._keypoints(points, pairs),
        )

    def _needed(self, whole: Outline) -> float:
        """The area that must be left of an object, in square pixels."""
        return min(self.enough, self.min_visible * whole.area())

    def _keypoints(self, points: np.ndarray, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
        """float64 `[J, 3]`; points of visibility 0 are 0, 0, 0."""
        order = np.arange(len(points))
        for left, right in pairs if self.mirrors else ():
            order[left], order[right] = right, left
        moved = points[order].astype(np.float64)
        labelled = moved[:, 2] > 0
        if not self.cuts_nothing:
            labelled &= _are_within(moved, self.old_frame)
        moved[labelled, :2] = move_points(moved[labelled, :2], self.matrix)
        if not self.cuts_nothing:
            labelled &= _are_within(moved, self.frame)
        moved[~labelled] = 0.0
        return moved

    def _corners(self, boxes: Sequence[Box]) -> np.ndarray:
        """`[n, 4, 2]`, in the order round a box."""
        corners = np.array(boxes, np.float64).reshape(-1, 4)[:, _CORNERS]
        return move_points(corners, self.matrix)


def _bounds(corners: np.ndarray) -> Box:
    # Plain Python: for four points it is several times faster than arrays.
    xs, ys = zip(*corners.tolist(), strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _is_within(box: Box, frame: Box) -> bool:
    return box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3]


def _are_within(points: np.ndarray, frame: Box) -> np.ndarray:
    x, y = points[:, 0], points[:, 1]
    return (x >= frame[0]) & (y >= frame[1]) & (x <= frame[2]) & (y <= frame[3])
