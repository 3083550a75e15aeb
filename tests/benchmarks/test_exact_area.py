"""The yardstick of the mask targets must itself be right."""

import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def coverage(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from exact_area import coverage

    yield coverage
    del sys.modules["exact_area"]


def test_by_hand(coverage):
    half = coverage([np.array([[0, 0], [2, 2], [0, 2]])], (0, 0, 2, 2), 2)
    np.testing.assert_allclose(half, [[0.5, 0], [1, 0.5]], atol=1e-12)
    # Beyond every border; cells that are not square.
    large = np.array([[-9, -9], [4, -9], [4, 50], [-9, 50]])
    np.testing.assert_allclose(coverage([large], (2, 1, 6, 2), 4), [[1, 1, 0, 0]] * 4, atol=1e-12)
    # A union counts once what two polygons share; a bow tie crosses itself.
    square = np.array([[0, 0], [2, 0], [2, 2], [0, 2]])
    both = coverage([square, square + np.array([1, 0])], (0, 0, 4, 2), 4)
    np.testing.assert_allclose(both, [[1, 1, 1, 0]] * 2 + [[1, 1, 1, 0]] * 2, atol=1e-12)
    bow = coverage([np.array([[0, 0], [2, 2], [2, 0], [0, 2]])], (0, 0, 2, 2), 1)
    np.testing.assert_allclose(bow, [[0.5]], atol=1e-12)


def test_counts_of_a_fine_grid(coverage):
    """Random polygons that cross themselves and each other, against points inside (even-odd)."""
    random = np.random.default_rng(0)
    polygons = [random.uniform(-1, 5, (n, 2)) for n in (5, 8)]
    side, fine = 4, 400
    y, x = (np.mgrid[:fine, :fine] + 0.5) * (side / fine)
    inside = np.zeros((fine, fine), bool)
    for points in polygons:
        odd = np.zeros_like(inside)
        for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
            odd ^= ((y1 > y) != (y2 > y)) & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
        inside |= odd
    expected = inside.reshape(side, fine // side, side, fine // side).mean((1, 3))
    found = coverage(polygons, (0, 0, side, side), side)
    assert 0.05 < found.mean() < 0.95
    np.testing.assert_allclose(found, expected, atol=0.01)
