"""One list of objects from what neighbouring tiles have found.

An object that is no larger than the overlap lies whole in the tile whose core has its centre, and
that tile alone answers for it: what another sees of it is left out (the rule of StarDist's
prediction of big pictures, Schmidt et al. 2018). Of larger objects, tiles see parts: parts that
agree where both tiles look are one object, and their union is its mask.

Legend: `h w` pixels of a crop.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from keras_maskrcnn.images.tiling import Tile, Window
from keras_maskrcnn.outlines import Bitmap
from keras_maskrcnn.results import Detections

# Where both tiles look, two masks are one object from this share of their union on; of an object
# that an edge cuts, from this share of the smaller one: its other part may be seen badly.
_SAME = 0.5
# A mask or a box ends this many pixels before the edge that cuts the object.
_EDGE = 2.0


@dataclasses.dataclass(frozen=True, eq=False)
class Piece:
    """What one tile has found.

    Args:
        tile: which.
        box: `(x1, y1, x2, y2)` in pixels of the picture.
        mask: its pixels, in pixels of the picture; without a mask head those of its box.
        overlap: of the tiles, in pixels of the picture.
        found: all that the tile has found.
        row: which of it this is.
    """

    tile: Tile
    box: tuple[float, float, float, float]
    mask: Bitmap
    overlap: float
    found: Detections
    row: int

    @property
    def label(self) -> int:
        """Class index."""
        return int(self.found.classes[self.row])

    @property
    def score(self) -> float:
        return float(self.found.scores[self.row])

    @property
    def is_cut(self) -> bool:
        """Whether an edge of its tile may cut it."""
        signs = (1, 1, -1, -1)
        return any(
            inner and sign * (side - edge) <= _EDGE
            for side, edge, inner, sign in zip(
                self.box, self.tile.window, self.tile.inner, signs, strict=True
            )
        )

    @property
    def is_small(self) -> bool:
        """Whether it lies whole in the tile that answers for it."""
        x1, y1, x2, y2 = self.box
        return max(x2 - x1, y2 - y1) <= self.overlap

    @property
    def is_owned(self) -> bool:
        """Whether its own tile answers for it."""
        x1, y1, x2, y2 = self.box
        return self.tile.owns((x1 + x2) / 2, (y1 + y2) / 2)


@dataclasses.dataclass(frozen=True, eq=False)
class Joined:
    """One object of the picture.

    Args:
        best: the piece whose class, score and further results are the object's.
        box: `(x1, y1, x2, y2)` in pixels of the picture.
        mask: all of its pixels.
    """

    best: Piece
    box: tuple[float, float, float, float]
    mask: Bitmap


def join(pieces: Sequence[Piece]) -> list[Joined]:
    """The objects of a picture, the best score first; of equal scores as they were found.

    Args:
        pieces: of all tiles of one scale.
    """
    leaders = list(range(len(pieces)))

    def leader(i: int) -> int:
        while leaders[i] != i:
            leaders[i] = leaders[leaders[i]]
            i = leaders[i]
        return i

    for i, j in _neighbours(pieces):
        if _is_same(pieces[i], pieces[j]):
            first, second = sorted((leader(i), leader(j)))
            leaders[second] = first
    groups: dict[int, list[Piece]] = defaultdict(list)
    for i, piece in enumerate(pieces):
        groups[leader(i)].append(piece)
    objects = [found for group in groups.values() if (found := _resolve(group)) is not None]
    return sorted(objects, key=lambda found: -found.best.score)


def best_of_scales(by_scale: Sequence[list[Joined]]) -> list[Joined]:
    """Of what several scales have found, each object once, from the scale that is surest of it.

    Args:
        by_scale: the objects of each scale.

    Returns:
        the best score first.
    """
    objects = sorted((o for found in by_scale for o in found), key=lambda o: -o.best.score)
    if len(by_scale) == 1 or not objects:
        return objects
    boxes = np.array([joined.box for joined in objects])
    labels = np.array([joined.best.label for joined in objects])
    stays = np.ones(len(objects), bool)
    for i, joined in enumerate(objects):
        if not stays[i]:
            continue
        low = np.maximum(boxes[i + 1 :, :2], boxes[i, :2])
        high = np.minimum(boxes[i + 1 :, 2:], boxes[i, 2:])
        rivals = stays[i + 1 :] & (labels[i + 1 :] == labels[i]) & (high > low).all(axis=1)
        for j in (np.flatnonzero(rivals) + i + 1).tolist():
            mask = objects[j].mask
            common, sizes = _shared(joined.mask, mask, _around(joined.mask, mask))
            stays[j] = common < _SAME * (sum(sizes) - common) or not common
    return [joined for joined, keep in zip(objects, stays, strict=True) if keep]


def _resolve(group: list[Piece]) -> Joined | None:
    """The object that these pieces are, or `None` when another tile answers for it."""
    whole = [piece for piece in group if not piece.is_cut]
    best = max(whole or group, key=lambda piece: (bool(whole) and piece.is_owned, piece.score))
    # What only this tile has found, where another sees all of it.
    if len(group) == 1 and best.is_small and not best.is_owned:
        return None
    if whole:
        return Joined(best, best.box, best.mask)
    boxes = np.array([piece.box for piece in group])
    x1, y1 = boxes[:, :2].min(axis=0).tolist()
    x2, y2 = boxes[:, 2:].max(axis=0).tolist()
    return Joined(best, (x1, y1, x2, y2), _union([piece.mask for piece in group]))


def _neighbours(pieces: Sequence[Piece]) -> Iterator[tuple[int, int]]:
    """Pairs of one class from tiles side by side whose boxes meet."""
    places: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for i, piece in enumerate(pieces):
        places[piece.label, piece.tile.row, piece.tile.column].append(i)
    for (label, row, column), own in places.items():
        # Each pair of tiles once. The last tiles of a row may reach over more than one neighbour.
        for rows, columns in _AFTER:
            others = places.get((label, row + rows, column + columns))
            if others:
                yield from _meeting(pieces, own, others)


_REACH = 2
_AFTER = tuple(
    (rows, columns)
    for rows in range(_REACH + 1)
    for columns in range(-_REACH, _REACH + 1)
    if (rows, columns) > (0, 0)
)


def _meeting(
    pieces: Sequence[Piece], own: Iterable[int], others: Iterable[int]
) -> Iterator[tuple[int, int]]:
    first, second = np.array(list(own)), np.array(list(others))
    a, b = (np.array([pieces[i].box for i in side]) for side in (first, second))
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    for i, j in np.argwhere((high > low).all(axis=-1)).tolist():
        yield int(first[i]), int(second[j])


def _is_same(a: Piece, b: Piece) -> bool:
    """Whether two tiles mean the same object, judged where both look."""
    both = _overlap(a.tile.window, b.tile.window)
    if both is None:
        return False
    common, sizes = _shared(a.mask, b.mask, both)
    if a.is_cut or b.is_cut:
        return common > 0 and common >= _SAME * min(sizes)
    return common > 0 and common >= _SAME * (sum(sizes) - common)


def _shared(a: Bitmap, b: Bitmap, within: Window) -> tuple[int, tuple[int, int]]:
    """Pixels of both, and of each, within a window."""
    reach = _overlap(within, _around(a, b))
    if reach is None:
        return 0, (0, 0)
    first, second = a.window(*reach), b.window(*reach)
    return int(np.count_nonzero(first & second)), (
        int(np.count_nonzero(first)),
        int(np.count_nonzero(second)),
    )


def _overlap(a: Window, b: Window) -> Window | None:
    x1, y1, x2, y2 = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None


def _around(*masks: Bitmap) -> Window:
    return (
        min(mask.left for mask in masks),
        min(mask.top for mask in masks),
        max(mask.left + mask.bits.shape[1] for mask in masks),
        max(mask.top + mask.bits.shape[0] for mask in masks),
    )


def _union(masks: Sequence[Bitmap]) -> Bitmap:
    left, top, right, bottom = _around(*masks)
    bits = np.zeros((bottom - top, right - left), bool)
    for mask in masks:
        y, x = mask.top - top, mask.left - left
        bits[y : y + mask.bits.shape[0], x : x + mask.bits.shape[1]] |= mask.bits
    return Bitmap(bits, left, top)
