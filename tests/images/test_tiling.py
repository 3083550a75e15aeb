"""Where tiles lie, by hand and for many sizes."""

import numpy as np
import pytest

from keras_maskrcnn.images.tiling import Tiling


def test_by_hand():
    tiles = Tiling(tile=100, overlap=20).tiles(100, 230)
    assert [tile.window for tile in tiles] == [
        (0, 0, 100, 100),
        (80, 0, 180, 100),
        (130, 0, 230, 100),  # Not (160, 0, 260, 100).
    ]
    assert [tile.core[::2] for tile in tiles] == [(-np.inf, 90), (90, 155), (155, np.inf)]
    assert [tile.inner for tile in tiles] == [
        (False, False, True, False),
        (True, False, True, False),
        (True, False, False, False),
    ]
    assert [(tile.row, tile.column) for tile in tiles] == [(0, 0), (0, 1), (0, 2)]


def test_scale():
    """At a quarter of its size, a tile sees four times as much."""
    (first, second, *_), tiling = Tiling(100, 20, (0.25,)).tiles(400, 800, 0.25), Tiling(400, 80)
    assert first.window == (0, 0, 400, 400) and second.window == (320, 0, 720, 400)
    assert [t.window for t in tiling.tiles(400, 800)] == [
        t.window for t in Tiling(100, 20).tiles(400, 800, 0.25)
    ]


@pytest.mark.parametrize("size", [(1, 1), (50, 300), (64, 64), (65, 64), (200, 200), (333, 481)])
@pytest.mark.parametrize(("tile", "overlap"), [(64, 0), (64, 16), (64, 31), (100, 7)])
def test_cores_cover_the_picture_once(size, tile, overlap):
    height, width = size
    tiles = Tiling(tile, overlap).tiles(height, width)
    owners = np.zeros(size, int)
    y, x = np.indices(size) + 0.5
    for one in tiles:
        x1, y1, x2, y2 = one.window
        assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
        assert (x2 - x1, y2 - y1) == (min(tile, width), min(tile, height))
        owners += (
            (one.core[0] <= x) & (x < one.core[2]) & (one.core[1] <= y) & (y < one.core[3])
        ).astype(int)
        # An object of the size of the overlap with its centre in the core lies within the tile.
        for low, high, start, stop, inner in (
            (one.core[0], one.core[2], x1, x2, one.inner[::2]),
            (one.core[1], one.core[3], y1, y2, one.inner[1::2]),
        ):
            assert not inner[0] or low - overlap / 2 >= start
            assert not inner[1] or high + overlap / 2 <= stop
    assert (owners == 1).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tile": 0}, "tile"),
        ({"overlap": -1}, "overlap"),
        ({"tile": 100, "overlap": 50}, "less than half of tile.*tile=100, overlap=50"),
        ({"scales": ()}, r"scales=\(\)"),
        ({"scales": (1, 0)}, "scales must be above 0"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        Tiling(**arguments)
