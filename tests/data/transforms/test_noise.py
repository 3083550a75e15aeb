"""Noise: its distribution, and what clips."""

import numpy as np
from scipy import stats

from keras_maskrcnn.data.transforms import Sample
from keras_maskrcnn.data.transforms.noise import Noise, NoiseAction


def added(std, seed=1, shape=(60, 70, 3)):
    given = np.full(shape, 128, "float32")
    return NoiseAction(std, seed).apply(Sample(given)).image - given


def test_it_is_gaussian_and_independent():
    noise = added(7.0)
    assert stats.kstest(noise.ravel() / 7, "norm").pvalue > 0.01
    channels = noise.reshape(-1, 3).T
    neighbours = np.corrcoef([*channels, *np.roll(channels, 1, axis=1)])
    assert np.abs(neighbours - np.eye(6)).max() < 0.05


def test_the_seed_and_the_strength():
    np.testing.assert_array_equal(added(7.0), added(7.0))
    assert np.abs(np.corrcoef(added(7.0).ravel(), added(7.0, seed=2).ravel())[0, 1]) < 0.05
    np.testing.assert_allclose(added(14.0), 2 * added(7.0), atol=1e-4)


def test_extremes_clip():
    for value in (0, 255):
        given = np.full((40, 40, 1), value, np.uint8)
        found = NoiseAction(20.0, 0).apply(Sample(given)).image
        assert found.dtype == np.uint8
        # Half of it is beyond the end, and less than half a level is none.
        assert 0.4 < (found == value).mean() < 0.6
        assert np.abs(found.astype(int) - value).max() < 120
    whole = NoiseAction(1e9, 0).apply(Sample(np.full((9, 9, 3), 100, np.uint8))).image
    assert set(np.unique(whole)) == {0, 255}


def test_other_ranges_and_channels():
    small = NoiseAction(0.1, 0, 1).apply(Sample(np.full((50, 50, 5), 0.9, "float32"))).image
    assert small.max() == 1 and small.min() >= 0 and 0.05 < small.std() < 0.1
    wide = NoiseAction(500.0, 0, 65535).apply(Sample(np.full((50, 50, 2), 60000, "uint16"))).image
    assert wide.dtype == np.uint16 and 450 < wide.std() < 550


def test_none():
    given = np.full((4, 4, 3), 300.7, "float32")
    assert NoiseAction(0.0, 0).apply(Sample(given)).image is given


def test_draws():
    rng = np.random.default_rng(0)
    actions = [Noise(std=(1, 3), probability=1).draw(rng, None) for _ in range(300)]
    drawn = [action.std for action in actions]
    assert 1 <= min(drawn) < 1.1 and 2.9 < max(drawn) <= 3
    assert len({action.seed for action in actions}) == 300
    assert Noise(std=2, probability=1, value_range=1).draw(rng, None).value_range == 1
