"""Rings of pixels, by hand and by drawing them again."""

import numpy as np
import pytest
from scipy import ndimage

from keras_maskrcnn.outlines.geometry import signed_area
from keras_maskrcnn.outlines.rings import pixel_polygons


def bits(*rows):
    return np.array([[c == "#" for c in row] for row in rows])


def drawn(polygons, shape):
    """Even-odd at pixel centres: how many edges lie to the left of each, in its row."""
    inside = np.zeros(shape, bool)
    for ring in (ring for rings in polygons for ring in rings):
        for (x1, y1), (x2, y2) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            if x1 == x2:
                inside[min(y1, y2) : max(y1, y2), x1:] ^= True
    return inside


def test_hole_by_hand():
    ((outer, hole),) = pixel_polygons(bits("###", "#.#", "###"))
    assert outer.tolist() == [[0, 0], [3, 0], [3, 3], [0, 3]]
    assert sorted(hole.tolist()) == [[1, 1], [1, 2], [2, 1], [2, 2]]
    assert (signed_area(outer), signed_area(hole)) == (9, -1)


@pytest.mark.parametrize(
    ("mask", "areas"),
    [
        (bits("....", "...."), []),
        (np.zeros((0, 0), bool), []),
        (bits("#.", ".#"), [[1], [1]]),
        # Two holes that touch at a corner, which one walk goes around.
        (bits("####", "#.##", "##.#", "####"), [[16, -1, -1]]),
        # A part that bites its own tail: what it encloses is a hole, not the outside.
        (bits(".###", "#..#", "#..#", "####"), [[15, -4]]),
        # An object within a hole, which touches its four sides' corners.
        (bits("#####", "##.##", "#.#.#", "##.##", "#####"), [[25, -5], [1]]),
        (bits("#####", "#...#", "#.#.#", "#...#", "#####"), [[25, -9], [1]]),
    ],
)
def test_parts_and_holes(mask, areas):
    polygons = pixel_polygons(mask)
    found = [[signed_area(ring) for ring in rings] for rings in polygons]
    assert sorted(found, reverse=True) == areas
    assert sum(map(sum, found)) == mask.sum()


@pytest.mark.parametrize("seed", range(12))
def test_random_masks(seed):
    rng = np.random.default_rng(seed)
    size = tuple(rng.integers(1, 40, 2))
    noise = ndimage.gaussian_filter(rng.normal(size=size), rng.choice([0.0, 0.6, 1.5]))
    mask = noise > np.quantile(noise, rng.uniform(0.2, 0.7))
    polygons = pixel_polygons(mask)
    np.testing.assert_array_equal(drawn(polygons, size), mask)
    assert len(polygons) == ndimage.label(mask)[1]
    together = np.zeros(size, int)
    for outer, *holes in polygons:
        assert signed_area(outer) > 0
        assert all(signed_area(hole) < 0 for hole in holes)
        # A polygon alone is one connected part: its holes are its own.
        part = drawn([[outer, *holes]], size)
        assert ndimage.label(part)[1] == 1
        assert part.sum() == sum(map(signed_area, (outer, *holes)))
        together += part
        for ring in (outer, *holes):
            assert len({tuple(corner) for corner in ring.tolist()}) == len(ring)
            steps = np.diff(ring, axis=0, append=ring[:1])
            # Edges are level and upright in turn: corners alone.
            assert ((steps == 0).sum(axis=1) == 1).all()
            assert ((steps[:, 0] == 0) != (np.roll(steps, -1, axis=0)[:, 0] == 0)).all()
    assert together.max(initial=0) <= 1
