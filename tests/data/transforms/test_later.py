"""What is made later is what is made at once; a part is a part of the whole."""

import numpy as np
import pytest

from keras_maskrcnn.data.records import Instance
from keras_maskrcnn.data.transforms import Sample, make_transforms
from keras_maskrcnn.data.transforms.color import Color
from keras_maskrcnn.data.transforms.later import Later, apply_later
from keras_maskrcnn.outlines import Polygons

MOVES = ["flip", "vertical_flip", "quarter_turn", "scale_jitter", "rotate", "perspective"]


def sample(dtype=np.uint8):
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (40, 56, 3)).astype(dtype)
    outline = Polygons([[10.0, 8.0, 33.0, 9.0, 20.0, 30.0]])
    return Sample(image, (Instance(0, outline.bounds(), outline, False, None, 5),))


def drawn(name, seed, given):
    (transform,) = make_transforms(name)
    return transform.draw(np.random.default_rng(seed), given)


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_one_move(name, dtype):
    for seed in range(6):
        given = sample(dtype)
        action = drawn(name, seed, given)
        if action is None:
            continue
        now, later = action.apply(given), apply_later(action, given)
        assert isinstance(later, Later) and later.size == now.size
        np.testing.assert_array_equal(later.image, now.image)
        assert [i.box for i in later.instances] == [i.box for i in now.instances]
        height, width = now.size
        window = (3, 5, width - 4, height // 2)
        part = later.part(window).astype(float)
        whole = now.image[5 : height // 2, 3 : width - 4].astype(float)
        # Ties of rounding may fall the other way.
        np.testing.assert_allclose(part, whole, atol=1 if dtype == np.uint8 else 1e-3)


def test_moves_in_turn_lose_nothing_between_them():
    """At the border of what the first left, the second mixes in what lies beyond."""
    from keras_maskrcnn.data.transforms.scale_jitter import ScaleJitterAction

    given = sample()
    right = ScaleJitterAction((40, 56), (0, 28), (40, 28))
    twice = ScaleJitterAction((80, 56), (0, 0), (80, 56))
    later = apply_later(twice, apply_later(right, given))
    assert later.size == (80, 56)
    now = twice.apply(right.apply(given))
    np.testing.assert_array_equal(later.image[:, 1:], now.image[:, 1:])
    # Twice as wide: the first pixel is a quarter of the one beyond, three of the first.
    rows = given.image[:, 27:29].astype(float)
    expected = 0.25 * rows[:, 0] + 0.75 * rows[:, 1]
    inner = np.array(later.image[:, 0], float)
    assert np.abs(inner[0] - expected[0]).max() <= 0.5
    # Objects are cut where they leave the picture: what the first move hid stays hidden.
    assert [i.box for i in later.instances] == [i.box for i in now.instances]


def test_pixels_are_made_before_they_change():
    given = sample()
    flip = drawn({"name": "flip", "probability": 1.0}, 0, given)
    color = Color().draw(np.random.default_rng(0), given)
    later = apply_later(color, apply_later(flip, given))
    assert type(later) is Sample
    np.testing.assert_array_equal(later.image, color.apply(flip.apply(given)).image)
