"""Pictures and points turned as EXIF says, against Pillow."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from keras_maskrcnn.images.orientation import stored_to_upright, upright, upright_size

STORED = np.arange(4 * 7 * 3, dtype=np.uint8).reshape(4, 7, 3)


def turned_by_pillow(orientation):
    picture = Image.fromarray(STORED)
    picture.getexif()[0x0112] = orientation
    return np.asarray(ImageOps.exif_transpose(picture))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_size_and_points(orientation):
    expected = turned_by_pillow(orientation)
    np.testing.assert_array_equal(upright(STORED, orientation), expected)
    assert upright_size(4, 7, orientation) == expected.shape[:2]
    matrix = stored_to_upright(4, 7, orientation)
    for y in range(4):
        for x in range(7):
            to_x, to_y = matrix @ (x + 0.5, y + 0.5, 1)  # Centre to centre.
            np.testing.assert_array_equal(expected[int(to_y), int(to_x)], STORED[y, x])
            assert (to_x % 1, to_y % 1) == (0.5, 0.5)


def test_a_photograph_of_a_phone_held_upright():
    """Stored lying, with orientation 6: its left becomes the top."""
    assert upright_size(3, 4, 6) == (4, 3)
    np.testing.assert_array_equal(stored_to_upright(3, 4, 6) @ (0, 3, 1), (0, 0))
    np.testing.assert_array_equal(stored_to_upright(3, 4, 6) @ (0, 0, 1), (3, 0))


def test_no_other_orientation():
    with pytest.raises(KeyError):
        upright(STORED, 9)
