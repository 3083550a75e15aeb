"""JPEG: against TensorFlow's encoder and decoder."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy import ndimage

from keras_maskrcnn.data.transforms import Sample
from keras_maskrcnn.data.transforms.jpeg import JPEG, JPEGAction


@pytest.fixture
def picture():
    noise = np.random.default_rng(0).uniform(0, 255, (45, 61, 3))
    smooth = ndimage.gaussian_filter(noise, (4, 4, 0))
    smooth = (smooth - smooth.min()) / np.ptp(smooth) * 255
    return smooth.astype("uint8")


def change(image, quality, **settings):
    return JPEGAction(quality, **settings).apply(Sample(image)).image


@pytest.mark.parametrize("quality", [5, 50, 90])
@pytest.mark.parametrize("channels", [1, 3])
def test_against_tensorflow(picture, quality, channels):
    given = picture[..., :channels]
    content = tf.io.encode_jpeg(given, quality=quality)
    expected = tf.io.decode_jpeg(content, dct_method="INTEGER_ACCURATE").numpy().astype(int)
    lost = np.abs(given - expected).mean()
    assert np.abs(change(given, quality) - expected).mean() < 0.2 * lost


def test_less_quality_loses_more(picture):
    lost = [np.abs(change(picture, q).astype(int) - picture).mean() for q in (100, 80, 40, 5)]
    assert lost == sorted(lost) and lost[0] < 2 < lost[3]


def test_floats_and_other_ranges_are_of_eight_bits(picture):
    expected = change(picture, 50)
    floats = change(picture.astype("float32") + np.float32(0.3), 50)
    assert floats.dtype == np.float32
    np.testing.assert_array_equal(floats, expected)
    wide = change(picture.astype("uint16") * 257, 50, value_range=65535)
    assert wide.dtype == np.uint16
    np.testing.assert_array_equal(wide, expected.astype("uint16") * 257)
    small = change(picture.astype("float32") / 255, 50, value_range=1)
    np.testing.assert_allclose(small, expected / 255, rtol=1e-6)
    # Beyond the range is at its end.
    above = change(np.full((8, 8, 3), 999, "float32"), 90)
    np.testing.assert_array_equal(above, 255)


@pytest.mark.parametrize("channels", [2, 4])
def test_other_channels(channels):
    with pytest.raises(ValueError, match=rf"jpeg holds .* 1 or 3 .*\(8, 9, {channels}\)"):
        change(np.zeros((8, 9, channels), np.uint8), 50)


def test_large_pictures_are_not_doubted(picture, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        change(picture, 50)


def test_draws():
    rng = np.random.default_rng(0)
    drawn = {JPEG(quality=(48, 50), probability=1).draw(rng, None).quality for _ in range(50)}
    assert drawn == {48, 49, 50}
    assert JPEG(quality=30, probability=1).draw(rng, None) == JPEGAction(30)
