"""Blur: by scipy, and by hand."""

import numpy as np
import pytest
from scipy import ndimage

from keras_maskrcnn.data.transforms import Sample
from keras_maskrcnn.data.transforms.blur import Blur, BlurAction


def picture(shape, dtype="float32"):
    return np.random.default_rng(0).uniform(0, 255, shape).astype(dtype)


def change(image, sigma):
    return BlurAction(sigma).apply(Sample(image)).image


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.7, 11.0])
@pytest.mark.parametrize("shape", [(63, 64, 3), (65, 130, 1), (1, 40, 3), (40, 1, 2), (5, 3, 4)])
def test_against_scipy(sigma, shape):
    """Whatever the blocks, and where the weights reach far beyond the picture."""
    given = picture(shape)
    expected = ndimage.gaussian_filter(
        given.astype(float), (sigma, sigma, 0), mode="mirror", truncate=4
    )
    np.testing.assert_allclose(change(given, sigma), expected, atol=2e-3)


def test_integers_are_rounded():
    given = picture((70, 80, 3), "uint8")
    exact = ndimage.gaussian_filter(given.astype(float), (1.2, 1.2, 0), mode="mirror", truncate=4)
    assert np.abs(change(given, 1.2) - exact).max() < 0.501
    wide = given.astype("uint16") * 257
    assert np.abs(change(wide, 1.2) - exact * 257).max() < 0.6


def test_a_point_by_hand():
    given = np.zeros((9, 9, 1), "float32")
    given[4, 4] = 200
    found = change(given, 0.5)[..., 0]
    weights = np.array([np.exp(-8.0), np.exp(-2.0), 1, np.exp(-2.0), np.exp(-8.0)])
    weights /= weights.sum()
    np.testing.assert_allclose(found[2:7, 2:7], 200 * np.outer(weights, weights), rtol=1e-5)
    assert (found[[0, 1, 7, 8]] == 0).all() and found.sum() == pytest.approx(200, rel=1e-5)


def test_what_stays():
    given = picture((30, 40, 3), "uint8")
    for sigma in (0.0, 0.1, 0.12):
        assert change(given, sigma) is given
    for value in (0, 77, 255):
        even = np.full((30, 40, 3), value, np.uint8)
        np.testing.assert_array_equal(change(even, 3.0), even)


def test_draws():
    rng = np.random.default_rng(0)
    drawn = [Blur(sigma=(0.5, 3), probability=1).draw(rng, None).sigma for _ in range(300)]
    assert 0.5 <= min(drawn) < 0.6 and 2.9 < max(drawn) <= 3
    assert Blur(sigma=2, probability=1).draw(rng, None) == BlurAction(2.0)
