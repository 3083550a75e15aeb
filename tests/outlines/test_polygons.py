"""Polygons cut at a box, by hand and against their own drawing."""

import numpy as np
import pytest

from keras_maskrcnn.outlines import Polygons

U = [0, 0, 2, 0, 2, 6, 4, 6, 4, 0, 6, 0, 6, 8, 0, 8]
# Round the square 0..6, and the same way round 2..4, joined by a slit: a hole by even-odd.
RING = [0, 0, 6, 0, 6, 6, 0, 6, 0, 0, 2, 2, 4, 2, 4, 4, 2, 4, 2, 2]
BOW = [0, 0, 4, 4, 4, 0, 0, 4]


def pieces(outline):
    return sorted([sorted(map(tuple, loop.tolist())) for group in outline.groups for loop in group])


def test_a_concave_one_falls_into_two():
    cut = Polygons([U]).crop((-1, 1, 9, 5))
    assert pieces(cut) == [[(0, 1), (0, 5), (2, 1), (2, 5)], [(4, 1), (4, 5), (6, 1), (6, 5)]]
    assert (cut.bounds(), cut.area()) == ((0, 1, 6, 5), pytest.approx(16))


def test_a_way_round_the_corner_leaves_no_trace():
    # A hook that leaves the box 0..8 by its top and passes outside, left of the whole box.
    hook = [3, 1, 3, -2, -3, -2, -3, 6, -4, 6, -4, -3, 4, -3, 4, 1]
    cut = Polygons([hook]).crop((0, 0, 8, 8))
    assert pieces(cut) == [[(3, 0), (3, 1), (4, 0), (4, 1)]]
    assert (cut.bounds(), cut.area()) == ((3, 0, 4, 1), pytest.approx(1))


def test_holes_stay_holes():
    ring = Polygons([RING])
    assert ring.area() == pytest.approx(32)
    right = ring.crop((3, 0, 6, 6))
    assert right.area() == pytest.approx(16)
    np.testing.assert_array_equal(right.draw((0, 0, 6, 6), 6)[2], [0, 0, 0, 0, 255, 255])
    assert ring.crop((2.5, 2.5, 3.5, 3.5)) is None
    # The slit is cut from its outline, and the hole stays whole.
    inner = ring.crop((1, 1, 5, 5))
    assert inner.area() == pytest.approx(12)
    assert inner.bounds() == (1, 1, 5, 5)
    np.testing.assert_array_equal(
        inner.draw_whole(6, 6), Polygons(inner.to_coco(6, 6)).draw_whole(6, 6)
    )


def test_crossings():
    assert Polygons([BOW]).area() == pytest.approx(8)
    left = Polygons([BOW]).crop((0, 0, 1, 4))
    assert left.bounds() == (0, 0, 1, 4)
    assert left.area() == pytest.approx(3)
    # Two wedges of equal size, which wind in opposite directions.
    middle = Polygons([BOW]).crop((1, 0, 3, 4))
    assert (middle.bounds(), middle.area()) == ((1, 1, 3, 3), pytest.approx(2))


def test_parts_that_leave_and_parts_that_overlap():
    square = [0, 0, 4, 0, 4, 4, 0, 4]
    two = Polygons([square, [2, 0, 6, 0, 6, 4, 2, 4], [20, 20, 22, 20, 22, 22]])
    cut = two.crop((1, 1, 8, 8))
    assert len(cut.groups) == 2
    assert (cut.bounds(), cut.area()) == ((1, 1, 6, 4), pytest.approx(15, rel=0.01))


@pytest.mark.parametrize("box", [(0, 0, 6, 8), (2, 0, 4, 6), (6, 0, 9, 9), (0, -5, 6, 0)])
def test_vertices_and_edges_on_the_box(box):
    cut = Polygons([U]).crop(box)
    if box == (0, 0, 6, 8):
        assert cut.area() == pytest.approx(36)
    else:
        assert cut is None


@pytest.mark.parametrize("seed", range(40))
def test_a_cut_outline_draws_as_before_within_the_box(seed):
    """Also of lines that cross themselves as often as they like, on whole coordinates or not."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(3, 40))
    points = rng.uniform(-4, 14, (count, 2)) if seed % 2 else rng.integers(-2, 13, (count, 2))
    polygons = Polygons([points.ravel().tolist(), (points[::-1] + 1).ravel().tolist()])
    x1, y1 = rng.integers(0, 4, 2)
    x2, y2 = rng.integers(6, 11, 2)
    box = (float(x1), float(y1), float(x2), float(y2))
    cut = polygons.crop(box)
    drawn, expected = (o.draw(box, 48).astype(int) for o in (cut, polygons))
    assert np.abs(drawn - expected).max() <= 1
    left, top, right, bottom = cut.bounds()
    assert left >= x1 and top >= y1 and right <= x2 and bottom <= y2
    # No trace of the way round outside: every side of the bounds is covered.
    thin = [
        (left, top, left + 0.5, bottom),
        (right - 0.5, top, right, bottom),
        (left, top, right, top + 0.5),
        (left, bottom - 0.5, right, bottom),
    ]
    if right - left > 1 and bottom - top > 1:
        assert all(cut.coverage(strip, 64).max() > 0 for strip in thin)


def test_lists_are_kept_as_given():
    parts = [[1, 2, 5, 2, 5, 6.5], [0, 0, 1, 0, 1, 1]]
    assert Polygons(parts).to_coco(9, 9) == parts
    assert Polygons([np.array(parts[0])]).to_coco(9, 9) == parts[:1]
    assert Polygons([np.reshape(parts[0], (3, 2))]).to_coco(9, 9) == parts[:1]


def test_making_one_costs_nothing():
    class Unread:
        def __array__(self, *_, **__):
            raise AssertionError("read before it is used")

    Polygons([Unread()])
    with pytest.raises(AssertionError, match="before it is used"):
        Polygons([Unread()]).bounds()
