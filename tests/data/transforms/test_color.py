"""Colours: by hand, by Pillow, by Python's colorsys and by TensorFlow."""

import colorsys
import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance

from keras_maskrcnn.data.transforms import Sample
from keras_maskrcnn.data.transforms.color import Color, ColorAction


def picture(dtype="uint8", shape=(40, 50, 3)):
    return np.random.default_rng(0).integers(0, 256, shape).astype(dtype)


def change(image, *steps, **settings):
    return ColorAction(steps, **settings).apply(Sample(image)).image


def row(*pixels, dtype="uint8"):
    return np.array([pixels], dtype)


def test_brightness_by_hand():
    given = row((100, 101, 103), (200, 0, 255))
    # Halves go to the even number.
    np.testing.assert_array_equal(
        change(given, ("brightness", 0.5)), row((50, 50, 52), (100, 0, 128))
    )
    np.testing.assert_array_equal(
        change(given, ("brightness", 1.5)), row((150, 152, 154), (255, 0, 255))
    )
    assert (change(given, ("brightness", 0.0)) == 0).all()
    np.testing.assert_array_equal(
        change(given, ("brightness", 1e6)), row((255, 255, 255), (255, 0, 255))
    )


def test_contrast_by_hand():
    # Lumas: 29.9, 58.7 + 11.4, 100; their mean is 200 / 3.
    given = row((100, 0, 0), (0, 100, 100), (100, 100, 100), dtype="float32")
    found = change(given, ("contrast", 0.5))
    np.testing.assert_allclose(found, given / 2 + 100 / 3, rtol=1e-6)
    # Beyond both ends it is clipped.
    found = change(given, ("contrast", 6.0))
    np.testing.assert_allclose(found, np.clip(given * 6 - 1000 / 3, 0, 255), rtol=1e-5)
    assert np.ptp(change(picture(), ("contrast", 0.0))) == 0


def test_saturation_by_hand():
    given = row((100, 0, 0), (10, 20, 30), (77, 77, 77), dtype="float32")
    luma = np.array([29.9, 0.299 * 10 + 0.587 * 20 + 0.114 * 30, 77])[None, :, None]
    for factor in (0.0, 0.5, 1.25):
        expected = np.clip(factor * given + (1 - factor) * luma, 0, 255)
        np.testing.assert_allclose(change(given, ("saturation", factor)), expected, rtol=1e-5)
    grey = change(picture(), ("saturation", 0.0))
    np.testing.assert_array_equal(grey, np.repeat(grey[..., :1], 3, axis=2))
    white = row((255, 255, 255), (254, 254, 254))
    np.testing.assert_array_equal(change(white, ("saturation", 0.0)), white)


@pytest.mark.parametrize("factor", [0.0, 0.3, 0.7, 1.0, 1.2, 1.9])
@pytest.mark.parametrize(
    ("name", "enhance"),
    [
        ("brightness", ImageEnhance.Brightness),
        ("contrast", ImageEnhance.Contrast),
        ("saturation", ImageEnhance.Color),
    ],
)
def test_against_pillow(name, enhance, factor):
    """Pillow cuts the fraction off, and rounds what it mixes with: a level, half of it mostly."""
    given = picture()
    expected = np.asarray(enhance(Image.fromarray(given)).enhance(factor)).astype(int)
    difference = change(given, (name, factor)) - expected
    assert set(np.unique(difference)) <= {-1, 0, 1}
    assert -0.05 < difference.mean() < 0.75


@pytest.mark.parametrize("turn", [-0.5, -0.31, -0.05, 0.1, 1 / 3, 0.5])
def test_hue_against_colorsys(turn):
    rng = np.random.default_rng(1)
    given = rng.uniform(0, 255, (20, 30, 3)).astype("float32")
    # All ways of two or three channels being the same, black and white.
    given[0, :27] = np.array(list(itertools.product([0, 99, 255], repeat=3)))
    expected = np.empty(given.shape)
    for index in np.ndindex(20, 30):
        hue, saturation, value = colorsys.rgb_to_hsv(*given[index].astype(float))
        expected[index] = colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value)
    np.testing.assert_allclose(change(given, ("hue", turn)), expected, atol=2e-3)
    rounded = change(np.rint(given).astype("uint8"), ("hue", turn))
    np.testing.assert_array_less(np.abs(rounded - expected), 2.1)


def test_hue_against_tensorflow():
    given = picture("float32", (130, 150, 3))  # More pixels than are turned at a time.
    for turn in (-0.4, 0.02, 0.25):
        expected = tf.image.adjust_hue(given / 255, turn).numpy() * 255
        np.testing.assert_allclose(change(given, ("hue", turn)), expected, atol=0.01)


def test_hue_by_hand():
    given = row((255, 0, 0), (200, 100, 100), (7, 7, 7))
    third = 1 / 3
    np.testing.assert_array_equal(
        change(given, ("hue", third)), row((0, 255, 0), (100, 200, 100), (7, 7, 7))
    )
    np.testing.assert_array_equal(
        change(given, ("hue", -third)), row((0, 0, 255), (100, 100, 200), (7, 7, 7))
    )
    np.testing.assert_array_equal(
        change(given, ("hue", 0.5)), row((0, 255, 255), (100, 200, 200), (7, 7, 7))
    )


def test_steps_go_one_after_another_and_are_rounded_once():
    given = picture()
    steps = (("hue", 0.2), ("brightness", 1.4), ("contrast", 0.6), ("saturation", 1.7))
    floats = given.astype("float32")
    for step in steps:
        floats = change(floats, step)
    np.testing.assert_array_equal(change(given, *steps), np.rint(floats))
    assert (change(given, *steps) != change(given, *steps[::-1])).any()


def test_nothing_changes_nothing():
    given = picture("float32") * 1.7  # Beyond the range, and fractions.
    nothing = (("brightness", 1.0), ("contrast", 1.0), ("saturation", 1.0), ("hue", 0.0))
    assert change(given, *nothing) is given
    still = Color(brightness=0, contrast=0, saturation=0, hue=0)
    assert still.draw(np.random.default_rng(0), Sample(given)) is None
    exact = Color(brightness=(1, 1), contrast=(1.0, 1.0), saturation=(1, 1), hue=(0, 0))
    assert exact.draw(np.random.default_rng(0), Sample(given)) is None


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_other_channels(channels):
    given = picture(shape=(8, 9, channels))
    floats = given.astype(float)
    np.testing.assert_array_equal(change(given, ("brightness", 0.25)), np.rint(floats * 0.25))
    expected = np.clip(1.5 * floats - 0.5 * floats.mean(), 0, 255)
    assert np.abs(change(given, ("contrast", 1.5)) - expected).max() <= 0.5001
    for step in (("saturation", 0.0), ("hue", 0.2)):
        np.testing.assert_array_equal(change(given, step), given)


STEPS = (("contrast", 1.8), ("hue", 0.3), ("brightness", 1.3), ("saturation", 0.4))


@pytest.mark.parametrize("value_range", [1, 4095, 65535])
def test_ranges_are_all_the_same(value_range):
    given = picture("float32")
    found = change(given / 255 * value_range, *STEPS, value_range=value_range)
    np.testing.assert_allclose(found / value_range * 255, change(given, *STEPS), atol=0.01)
    assert found.max() <= value_range
    if value_range > 255:
        wide = (given / 255 * value_range).astype("uint16")
        expected = np.rint(change(wide.astype("float32"), *STEPS, value_range=value_range))
        np.testing.assert_array_equal(change(wide, *STEPS, value_range=value_range), expected)


def test_draws():
    rng = np.random.default_rng(0)
    transform = Color(brightness=0.2, contrast=(0.4, 0.9), saturation=2.0, hue=0.1, grey=0.25)
    actions = [transform.draw(rng, Sample(picture())) for _ in range(400)]
    factors = {name: [] for name in ("brightness", "contrast", "saturation", "hue")}
    for action in actions:
        for name, factor in action.steps[:4]:
            factors[name].append(factor)
    limits = {"brightness": (0.8, 1.2), "contrast": (0.4, 0.9), "saturation": (0, 3)}
    for name, (low, high) in (limits | {"hue": (-0.1, 0.1)}).items():
        drawn = np.array(factors[name])
        margin = (high - low) / 20
        assert low <= drawn.min() < low + margin and high - margin < drawn.max() <= high
    assert len({tuple(name for name, _ in a.steps[:4]) for a in actions}) == 24
    grey = [len(a.steps) == 5 for a in actions]
    assert 0.18 < np.mean(grey) < 0.32
    assert all(a.steps[4:] in ((), (("saturation", 0.0),)) for a in actions)
    only = Color(brightness=0, contrast=0, saturation=0, hue=(0.1, 0.1), value_range=9)
    assert only.draw(rng, Sample(picture())) == ColorAction((("hue", 0.1),), 9)
