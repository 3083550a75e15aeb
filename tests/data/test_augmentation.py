"""Random choices of a pass, and mirroring, by hand."""

import numpy as np
import pytest

from keras_maskrcnn.data.augmentation import (
    draw_augmentation,
    draw_order,
    flip_boxes,
    flip_keypoints,
)


def test_draws_follow_from_seed_and_epoch():
    first = draw_augmentation(1000, (640, 672, 800), True, 3, 0)
    again = draw_augmentation(1000, (640, 672, 800), True, 3, 0)
    other = draw_augmentation(1000, (640, 672, 800), True, 3, 1)
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).mean() > 0.3
    assert 0.45 < first[0].mean() < 0.55
    assert set(first[1]) == {640, 672, 800}
    assert not draw_augmentation(50, (800,), False, 3, 0)[0].any()


@pytest.mark.parametrize(("count", "batch_size"), [(1, 4), (7, 2), (64, 8), (101, 8), (5, 1)])
def test_order_holds_every_picture_once(count, batch_size):
    ratios = np.random.default_rng(0).uniform(0.5, 2, count)
    order = draw_order(ratios, batch_size, 1, 0)
    np.testing.assert_array_equal(np.sort(order), np.arange(count))
    np.testing.assert_array_equal(order, draw_order(ratios, batch_size, 1, 0))
    if count > 5:
        assert (order != draw_order(ratios, batch_size, 1, 1)).any()
        assert (order != draw_order(ratios, batch_size, 2, 0)).any()


def test_batches_hold_like_shapes_but_change_company():
    ratios = np.random.default_rng(1).uniform(0.5, 2, 1000)
    company = set()
    for epoch in range(2):
        batches = draw_order(ratios, 8, 0, epoch).reshape(-1, 8)
        spread = np.ptp(ratios[batches], axis=1)
        assert np.median(spread) < 0.1
        mixed = [(ratios[b] >= 1).any() and (ratios[b] < 1).any() for b in batches]
        assert sum(mixed) <= 1
        company.update(tuple(sorted(b)) for b in batches)
    assert len(company) == 250  # no batch of the first pass met again in the second


def test_flip_boxes():
    boxes = np.array([[1.5, 2, 4, 6], [0, 0, 10, 5]])
    flipped = flip_boxes(boxes, 10)
    np.testing.assert_array_equal(flipped, [[6, 2, 8.5, 6], [0, 0, 10, 5]])
    np.testing.assert_array_equal(flip_boxes(flipped, 10), boxes)
    assert flip_boxes(np.zeros((0, 4)), 10).shape == (0, 4)


def test_flip_keypoints_swaps_sides_and_leaves_unlabelled_points():
    points = np.array([[[5, 1, 2], [2, 3, 1], [9, 4, 2]], [[1, 1, 2], [3, 3, 2], [0, 0, 0]]], float)
    flipped = flip_keypoints(points, 10, [(1, 2)])
    np.testing.assert_array_equal(
        flipped, [[[5, 1, 2], [1, 4, 2], [8, 3, 1]], [[9, 1, 2], [0, 0, 0], [7, 3, 2]]]
    )
