"""Rectangles: what they are filled with, where they lie, and that labels stay."""

import numpy as np
import pytest

from keras_maskrcnn.data.records import Instance
from keras_maskrcnn.data.transforms import Sample
from keras_maskrcnn.data.transforms.cutout import Cutout, CutoutAction


def picture(dtype="uint8", shape=(20, 30, 3)):
    return np.random.default_rng(0).integers(0, 256, shape).astype(dtype)


def change(image, *rectangles, **settings):
    return CutoutAction(rectangles, **settings).apply(Sample(image)).image


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_by_hand(dtype):
    given = picture(dtype)
    found = change(given, (2, 3, 5, 9), (29, 19, 30, 20), (0, 0, 1, 1), fill=7)
    expected = given.copy()
    expected[3:9, 2:5] = expected[19, 29] = expected[0, 0] = 7
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(change(given), given)
    (pixel,) = change(given, (4, 4, 5, 5), fill=(1, 2.5, 255))[4, 4:5]
    np.testing.assert_array_equal(pixel, [1, 2 if dtype == "uint8" else 2.5, 255])


def test_fill_with_the_mean():
    for channels in (1, 3, 5):
        given = picture(shape=(20, 30, channels))
        found = change(given, (0, 0, 30, 20))
        np.testing.assert_array_equal(found[7, 8], np.rint(given.mean(axis=(0, 1))))
        assert np.ptp(found.reshape(-1, channels), axis=0).max() == 0
        # Of the picture as it was, not of what other rectangles left.
        twice = change(given, (0, 0, 30, 10), (0, 0, 30, 20))
        np.testing.assert_array_equal(twice, found)
    floats = change(picture("float32"), (0, 0, 30, 20))
    np.testing.assert_allclose(floats[0, 0], picture().mean(axis=(0, 1)), rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "value_range"), [("uint8", 255), ("uint8", 3), ("uint16", 65535), ("float32", 1)]
)
def test_fill_with_noise(dtype, value_range):
    given = np.zeros((100, 100, 3), dtype)
    whole = (0, 0, 100, 100)
    found = change(given, whole, fill="noise", seed=4, value_range=value_range)
    assert found.min() >= 0 and found.max() <= value_range and found.max() > 0.99 * value_range
    assert found.mean() == pytest.approx(value_range / 2, rel=0.02)
    if value_range == 3:
        np.testing.assert_allclose(np.bincount(found.ravel()) / found.size, 0.25, atol=0.02)
    again = change(given, whole, fill="noise", seed=4, value_range=value_range)
    np.testing.assert_array_equal(found, again)
    other = change(given, whole, fill="noise", seed=5, value_range=value_range)
    assert (found != other).mean() > 0.5
    halves = change(given, (0, 0, 50, 9), (50, 0, 100, 9), fill="noise", value_range=value_range)
    assert (halves[:9, :50] != halves[:9, 50:]).mean() > 0.5


def test_fill_for_other_channels():
    message = r"one number, or one for each of 4 channels. Received: fill=\(1, 2, 3\)"
    with pytest.raises(ValueError, match=message):
        change(picture(shape=(4, 4, 4)), (0, 0, 2, 2), fill=(1, 2, 3))


def test_what_is_annotated_stays():
    hidden = Instance(0, (2.0, 2.0, 3.0, 3.0), None, False, 1.0, 1, np.ones((1, 3)))
    found = CutoutAction(((0, 0, 30, 20),)).apply(Sample(picture(), (hidden,)))
    assert found.instances == (hidden,)


def test_draws():
    rng = np.random.default_rng(0)
    given = Sample(np.zeros((200, 300, 3), np.uint8))
    transform = Cutout(count=(0, 3), area=(0.05, 0.1), aspect=(0.5, 2), probability=1)
    actions = [transform.draw(rng, given) for _ in range(300)]
    assert {len(action.rectangles) for action in actions} == {0, 1, 2, 3}
    x1, y1, x2, y2 = np.array([r for action in actions for r in action.rectangles]).T
    assert x1.min() == 0 and y1.min() == 0 and x2.max() == 300 and y2.max() == 200
    wide, high = x2 - x1, y2 - y1
    areas, aspects = wide * high / 60000, high / wide
    assert 0.049 < areas.min() < 0.052 and 0.098 < areas.max() < 0.101
    assert 0.49 < aspects.min() < 0.55 and 1.9 < aspects.max() < 2.04
    assert 0.45 < (aspects < 1).mean() < 0.55


def test_what_does_not_fit_is_as_large_as_the_picture():
    rng = np.random.default_rng(0)
    long = Cutout(area=1, aspect=100, probability=1)
    action = long.draw(rng, Sample(np.zeros((10, 40, 3), np.uint8)))
    ((x1, y1, x2, y2),) = action.rectangles
    assert (y1, y2, x2 - x1) == (0, 10, 2)
    tiny = Cutout(area=0, probability=1, count=5)
    action = tiny.draw(rng, Sample(np.zeros((1, 1, 3), np.uint8)))
    assert action.rectangles == ((0, 0, 1, 1),) * 5
