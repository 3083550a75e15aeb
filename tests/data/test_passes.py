"""Random choices of a pass."""

import numpy as np
import pytest

from keras_maskrcnn.data import passes
from keras_maskrcnn.data.passes import draw_order, draw_sizes, share_of_batches


def test_sizes_follow_from_seed_and_epoch():
    first = draw_sizes(1000, (640, 672, 800), 3, 0)
    np.testing.assert_array_equal(first, draw_sizes(1000, (640, 672, 800), 3, 0))
    assert (first != draw_sizes(1000, (640, 672, 800), 3, 1)).mean() > 0.3
    assert set(first) == {640, 672, 800}
    assert first.dtype == np.int32


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


def test_shares_of_a_pass():
    order = np.array([4, 0, 6, 3, 8, 1, 7, 5, 2])
    shares = [share_of_batches(order, 4, part, 2).tolist() for part in range(2)]
    assert shares == [[4, 0, 8, 1], [6, 3, 7, 5]]  # Of two batches; the last picture is nobody's.
    assert share_of_batches(order, 10, 1, 2).tolist() == []
    np.testing.assert_array_equal(share_of_batches(order, 3, 0, 1), order)


def test_shards_follow_each_other(monkeypatch):
    monkeypatch.setattr(passes, "SHUFFLED_PICTURES", 50)
    rng = np.random.default_rng(0)
    count, shards = 403, np.arange(403) % 20
    ratios = rng.uniform(0.5, 2, count)
    order = passes.draw_shard_order(shards, ratios, 4, 1, 0)
    np.testing.assert_array_equal(np.sort(order), np.arange(count))
    np.testing.assert_array_equal(order, passes.draw_shard_order(shards, ratios, 4, 1, 0))
    assert (order != passes.draw_shard_order(shards, ratios, 4, 1, 1)).any()
    # Three shards have 60 pictures: of any 48 that follow each other, not many more are open.
    opened = [len(set(shards[order[k : k + 48]])) for k in range(0, count - 48, 48)]
    assert max(opened) <= 8 and len(set(shards[order[:56]])) <= 4
    # A batch has pictures of like shape, and only the last one is not full.
    spread = np.ptp(ratios[order[:400].reshape(-1, 4)], axis=1)
    assert np.median(spread) < 0.2


def test_few_pictures_of_shards_have_the_order_of_files():
    ratios = np.random.default_rng(0).uniform(0.5, 2, 300)
    order = passes.draw_shard_order(np.arange(300) % 7, ratios, 8, 3, 2)
    np.testing.assert_array_equal(order, draw_order(ratios, 8, 3, 2))
