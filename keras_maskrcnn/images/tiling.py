"""Where the tiles of a large picture lie.

Coordinates are continuous pixels of the picture.
"""

from __future__ import annotations

import dataclasses
import itertools
import math

from keras_maskrcnn.checks import at_least

Window = tuple[int, int, int, int]


@dataclasses.dataclass(frozen=True)
class Tiling:
    """How a large picture is cut into tiles.

    Args:
        tile: side of a tile, in pixels of what the network sees.
        overlap: by how much neighbours overlap at least, in the same pixels; `None`: an eighth of
            `tile`. An object that is no larger lies whole in one of them; of a larger one, tiles
            see parts that are joined.
        scales: in which sizes the picture is looked at: 1 is its own; of .25, a tile sees four
            times as much of it. Several find objects of very unlike sizes.

    Raises:
        ValueError: when tiles overlap by half or more, or a scale is not above 0.
    """

    tile: int = 1024
    overlap: int | None = None
    scales: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        at_least(1, tile=self.tile)
        if self.overlap is None:
            object.__setattr__(self, "overlap", self.tile // 8)
        at_least(0, overlap=self.pixels_shared)
        if 2 * self.pixels_shared >= self.tile:
            raise ValueError(
                "overlap must be less than half of tile. "
                f"Received: tile={self.tile}, overlap={self.overlap}"
            )
        object.__setattr__(self, "scales", tuple(self.scales))
        if not self.scales or not all(0 < scale < math.inf for scale in self.scales):
            raise ValueError(f"scales must be above 0. Received: scales={self.scales}")

    @property
    def pixels_shared(self) -> int:
        """`overlap`, which is known by now."""
        assert self.overlap is not None
        return self.overlap

    def side(self, length: int, scale: float = 1.0) -> int:
        """Of tiles along an axis of the picture, in its pixels: of a shorter axis, all of it."""
        return min(math.ceil(self.tile / scale), length)

    def step(self, length: int, scale: float = 1.0) -> int:
        """From the beginning of a tile to that of the next, in pixels of the picture."""
        return self.side(length, scale) - math.ceil(self.pixels_shared / scale)

    def starts(self, length: int, scale: float = 1.0, shift: int = 0) -> list[int]:
        """Where the tiles along one axis begin.

        Args:
            length: of the axis, in pixels.
            scale: one of `scales`.
            shift: by how much all of them are moved. None leaves the picture, so that the ones at
                its ends move less; their number stays.
        """
        side, step = self.side(length, scale), self.step(length, scale)
        count = 1 if side == length else math.ceil((length - side) / step) + 1
        return [min(max(i * step + shift, 0), length - side) for i in range(count)]

    def tiles(self, height: int, width: int, scale: float = 1.0) -> list[Tile]:
        """All tiles of a picture, row by row.

        They are of equal size; the last of a row or column begins earlier rather than reach beyond
        the picture. Only where the picture itself is smaller, a tile is.

        Args:
            height, width: of the picture, in pixels.
            scale: one of `scales`.
        """
        rows, columns = (
            _spans(self.starts(length, scale), self.side(length, scale))
            for length in (height, width)
        )
        return [
            Tile(
                window=(x.start, y.start, x.stop, y.stop),
                core=(x.core_start, y.core_start, x.core_stop, y.core_stop),
                inner=(x.start > 0, y.start > 0, x.stop < width, y.stop < height),
                row=row,
                column=column,
            )
            for (row, y), (column, x) in itertools.product(enumerate(rows), enumerate(columns))
        ]


def as_tiling(tile: int | Tiling | None, overlap: int | None) -> Tiling | None:
    """What `predict` was given as `tile` and `overlap`; `None` for whole pictures.

    Raises:
        TypeError: for a `tile` of another type.
        ValueError: for numbers that fit no tiling, and an overlap without tiles, or beside a
            `Tiling`, which has its own.
    """
    if tile is None or isinstance(tile, Tiling):
        if overlap is not None:
            raise ValueError(
                f"overlap goes with tile, a number. Received: tile={tile!r}, overlap={overlap!r}"
            )
        return tile
    if isinstance(tile, bool) or not isinstance(tile, int):
        raise TypeError(
            "tile must be the side of a tile in pixels or a keras_maskrcnn.Tiling. "
            f"Received: tile={tile!r}"
        )
    return Tiling(tile, overlap)


@dataclasses.dataclass(frozen=True)
class Tile:
    """One tile.

    Args:
        window: `(x1, y1, x2, y2)`, what it sees of the picture.
        core: the part that is nearer to its centre than to its neighbours': cores cover the picture
            without overlap. Its edges lie in the middle of the overlaps.
        inner: of left, top, right and bottom, whether the picture goes on there.
        row, column: its place in the grid.
    """

    window: Window
    core: tuple[float, float, float, float]
    inner: tuple[bool, bool, bool, bool]
    row: int
    column: int

    def owns(self, x: float, y: float) -> bool:
        """Whether a point lies in its core; of all tiles of a picture, exactly one says so."""
        x1, y1, x2, y2 = self.core
        return x1 <= x < x2 and y1 <= y < y2


@dataclasses.dataclass(frozen=True)
class _Span:
    start: int
    stop: int
    core_start: float
    core_stop: float


def _spans(starts: list[int], side: int) -> list[_Span]:
    """The tiles along one axis."""
    # What is found may reach an edge of the picture, and a little beyond.
    edges = [-math.inf, *((a + side + b) / 2 for a, b in itertools.pairwise(starts)), math.inf]
    return [
        _Span(start, start + side, low, high)
        for start, (low, high) in zip(starts, itertools.pairwise(edges), strict=True)
    ]
