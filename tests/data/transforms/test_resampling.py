"""Pixels follow the matrix: against functions that bilinear sampling gives back, and by hand."""

import numpy as np
import pytest
from PIL import Image

from keras_maskrcnn.data.transforms.resampling import MEAN_PIXEL, resample

HEIGHT, WIDTH = 40, 60


def about_centre(linear, size=(HEIGHT, WIDTH)):
    """A matrix with this linear part that keeps the centre of the picture in the new one's."""
    middle = np.array([WIDTH / 2, HEIGHT / 2])
    return np.column_stack([linear, (size[1] / 2, size[0] / 2) - np.array(linear) @ middle])


def turned(degrees, scale=1.0):
    cos, sin = (scale * f(np.radians(degrees)) for f in (np.cos, np.sin))
    return [[cos, sin], [-sin, cos]]


def plane(x, y):
    """Whole numbers at the centres of pixels."""
    return np.stack([3 * x + 2.5, 200 - 2 * y, 20.5 + x + 2 * y], axis=-1)


MOVES = {
    "shift": np.array([[1, 0, 7.25], [0, 1, -3.5]]),
    "rotation": about_centre(turned(17)),
    "shear": about_centre([[1, 0.4], [-0.1, 1]]),
    "larger": about_centre([[1.7, 0], [0, 1.3]]),
    "smaller": about_centre([[0.4, 0], [0, 0.7]]),
    "turned and smaller": about_centre([[0, -0.5], [0.8, 0]]),
    "mirrored and larger": about_centre([[-2, 0], [0, 1.5]]),
    "rotated and much smaller": about_centre(turned(-30, 0.2)),
    "perspective": np.array([[1, 0.1, -2], [0.05, 0.9, 3], [0.002, -0.001, 1]]),
    "perspective, scaled": 3 * np.array([[0.3, 0.1, 2], [0.05, 0.2, 3], [0.002, -0.001, 1]]),
}


@pytest.mark.parametrize("name", MOVES)
def test_a_plane_stays_a_plane(name):
    """Half-pixel centres: a pixel's value is that of the plane where its centre comes from."""
    matrix, size = MOVES[name], (50, 64)
    y, x = np.indices((HEIGHT, WIDTH)) + 0.5
    image = plane(x, y).astype("float32")
    found = resample(image, matrix, size, fill=-1000)
    assert found.dtype == np.float32 and found.shape == (*size, 3)
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]])[:3])
    y, x = np.indices(size) + 0.5
    u, v, w = (row[0] * x + row[1] * y + row[2] for row in back)
    u, v = u / w, v / w
    inward = np.minimum(np.minimum(u, WIDTH - u), np.minimum(v, HEIGHT - v))
    # What reaches over the border is made of fewer pixels; of a smaller picture, of many.
    rim = 0.5 if "smaller" not in name and "scaled" not in name else 6.0
    inside = inward > rim
    assert inside.sum() > 20
    # A triangle of few pixels has its middle a little beside the place that it stands for.
    tolerance = 0.005 if rim == 0.5 else 0.13
    np.testing.assert_allclose(found[inside], plane(u, v)[inside], rtol=0, atol=tolerance)
    beyond = inward < -6.0
    assert (found[beyond] == -1000).all()
    # A pixel is filled or it is not: nothing is mixed with what lies beyond.
    assert ((found == -1000) | (found > 0)).all()
    as_bytes = resample(image.astype(np.uint8), matrix, size)
    assert as_bytes.dtype == np.uint8
    assert np.abs(as_bytes[inside] - plane(u, v)[inside]).max() <= (1 if rim == 0.5 else 2)
    assert (as_bytes[beyond] == MEAN_PIXEL).all()


def test_by_hand():
    image = np.array([[[0], [100], [200], [40]]], np.uint8)

    def row(matrix, width):
        return resample(image, matrix, (1, width), fill=9)[0, :, 0].tolist()

    assert row([[1, 0, 2], [0, 1, 0]], 5) == [9, 9, 0, 100, 200]
    assert row([[-1, 0, 4], [0, 1, 0]], 4) == [40, 200, 100, 0]
    # Two become one: the weights of a triangle twice as wide, 1 3 3 1, or 3 3 1 at the border.
    assert row([[0.5, 0, 0], [0, 1, 0]], 2) == [round(500 / 7), round(820 / 7)]
    # One becomes two: 3 to 1.
    assert row([[2, 0, 0], [0, 1, 0]], 8) == [0, 25, 75, 125, 175, 160, 80, 40]
    # Half a pixel to the right: the mean of two. A pixel that is half beyond is filled.
    assert row([[1, 0, 0.5], [0, 1, 0]], 5) == [9, 50, 150, 120, 9]
    # A slope of one pixel per row: nothing but a shift, for one row.
    assert row([[1, 1, 0.5], [0, 1, 0]], 5) == [9, 0, 100, 200, 40]


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_turns_and_cuts_keep_every_value(dtype, channels):
    image = np.random.default_rng(0).uniform(0, 256, (5, 7, channels)).astype(dtype)
    cut = resample(image, [[1, 0, -2], [0, 1, -1]], (3, 4), fill=0)
    np.testing.assert_array_equal(cut, image[1:4, 2:6])
    turn = resample(image, [[0, -1, 5], [1, 0, 0]], (7, 5), fill=0)
    np.testing.assert_array_equal(turn, np.rot90(image, -1))
    both = resample(image, [[0, 1, -1], [1, 0, 0], [0, 0, 1]], (7, 4), fill=0)
    np.testing.assert_array_equal(both, image.swapaxes(0, 1)[:, 1:])
    moved = resample(image, [[1, 0, 1], [0, 1, 2]], (8, 8), fill=[7] * channels)
    expected = np.full((8, 8, channels), 7, dtype)
    expected[2:7, 1:8] = image
    np.testing.assert_array_equal(moved, expected)
    # Channels do not mix, whatever Pillow calls four of them.
    for matrix in ([[1.5, 0, 0], [0, 0.8, 0]], about_centre(turned(20))):
        whole = resample(image, matrix, (5, 7), fill=3)
        for c in range(channels):
            alone = resample(image[..., c : c + 1], matrix, (5, 7), fill=3)
            np.testing.assert_array_equal(whole[..., c : c + 1], alone)


@pytest.mark.parametrize("new", [(123, 154), (30, 41)])
def test_what_is_cut_is_what_the_whole_would_be(new):
    """Only what will be seen is resized, with the neighbours that it has."""
    image = np.random.default_rng(1).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    whole = np.asarray(Image.fromarray(image).resize(new[::-1], Image.Resampling.BILINEAR))
    matrix = [[new[1] / 80, 0, -9], [0, new[0] / 64, -6]]
    found = resample(image, matrix, (20, 25))
    # Pillow takes the part as float32: ties of rounding may fall the other way.
    different = np.abs(found.astype(int) - whole[6:26, 9:34])
    assert different.max() <= 1 and (different > 0).mean() < 0.02


@pytest.mark.parametrize("matrix", [np.diag([0.25, 0.25, 1.0]), about_centre(turned(40, 0.2))])
def test_what_shrinks_is_averaged(matrix):
    """A chessboard of single pixels becomes grey: bilinear samples alone would keep 0 and 255."""
    image = (np.indices((HEIGHT, WIDTH)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None]
    found = resample(image, matrix, (HEIGHT, WIDTH), fill=127)
    assert np.abs(found.astype(int) - 127).max() < 45
    assert np.abs(found[found != 127].astype(int) - 127).mean() < 15


def test_nothing_is_seen():
    image = np.zeros((4, 4, 3), np.uint8)
    for matrix in ([[1, 0, 9], [0, 1, 0]], [[0.1, 0, 0.3], [0, 0.1, 0.3]]):
        found = resample(image, matrix, (3, 5), fill=(1, 2, 3))
        np.testing.assert_array_equal(found, np.broadcast_to([1, 2, 3], (3, 5, 3)))


def test_a_fill_of_other_channels():
    with pytest.raises(ValueError, match=r"fill must be a number or 1 of them.*\(1, 2\)"):
        resample(np.zeros((4, 4, 1), np.uint8), np.eye(3), (4, 4), fill=(1, 2))
