"""How thick lines, points and letters are, by the size of what is drawn."""

import itertools

import numpy as np
import pytest

from keras_maskrcnn.drawing import PALETTE, Shape, Strokes, draw_shapes
from keras_maskrcnn.label_placing import label_font, letter_size, place_labels

LARGE, SMALL = (4000, 6000), (100, 100)


def box_of(size, part=2):
    """In the middle, its sides that part of the picture's."""
    height, width = size
    low, high = (part - 1) / (2 * part), (part + 1) / (2 * part)
    return np.array([width * low, height * low, width * high, height * high])


# A square of as many pixels has sides of 4899, 1000 and 100.
@pytest.mark.parametrize(
    ("size", "strokes"),
    [
        (LARGE, Strokes(line=12, frame=6, limb=16, rim=4, point=18)),
        ((1000, 1000), Strokes(line=2, frame=1, limb=3, rim=1, point=3)),
        ((480, 640), Strokes(line=1, frame=1, limb=2, rim=1, point=2.5)),
        (SMALL, Strokes(line=1, frame=1, limb=2, rim=1, point=50 / 24)),
    ],
)
def test_strokes(size, strokes):
    assert Strokes.of(size, box_of(size)) == strokes


def test_lines_of_small_objects_are_thinner():
    # 40 pixels wide: 16 times as much is 640, a 400th of which rounds to 2.
    small = Strokes.of(LARGE, np.array([0, 0, 40, 40]))
    assert (small.line, small.point) == (2, pytest.approx(40 / 24))
    assert Strokes.of(LARGE, np.array([0, 0, 310, 310])).line == 12
    assert Strokes.of(LARGE, np.zeros(4)) == Strokes(1, 1, 2, 1, 1.5)


def test_letters():
    sizes = [LARGE, (800, 6000), (1000, 1000), (480, 640), SMALL]
    assert [letter_size(size) for size in sizes] == [102, 46, 21, 12, 11]


def test_a_label_is_as_large_on_a_large_picture_as_it_looks_on_a_small_one():
    parts = []
    for size in ((1000, 1500), LARGE):
        (label,) = place_labels([["person 0.93"]], box_of(size)[None], size)
        width, height = label.spot[2] - label.spot[0], label.spot[3] - label.spot[1]
        parts.append((width / size[1], height / size[0]))
        assert height >= label.letters == letter_size(size)
        assert width > label_font(label.letters).getlength("person 0.93")
    np.testing.assert_allclose(parts[0], parts[1], rtol=0.05)


def test_a_label_fits_on_a_small_picture():
    (label,) = place_labels([["person 0.93", "person"]], box_of(SMALL, 3)[None], SMALL)
    assert label.letters == 11
    assert (label.spot >= 0).all() and (label.spot <= 100).all()


@pytest.mark.parametrize(("size", "line"), [(SMALL, 1), ((1600, 1600), 4)])
def test_the_outline_is_as_thick_as_said(size, line):
    box = box_of(size)
    left, top, right, bottom = box.astype(int)
    shape = Shape(box, 0, [], PALETTE[0], left, top, np.ones((bottom - top, right - left), bool))
    drawn = draw_shapes(np.zeros((*size, 3), np.uint8), [shape], False, False, None)
    row = (drawn[size[0] // 2] == PALETTE[0]).all(axis=1)
    runs = [(value, len(list(group))) for value, group in itertools.groupby(row.tolist())]
    assert [length for value, length in runs if value] == [line, line]


@pytest.mark.parametrize(("size", "radius"), [((640, 640), 2.5), ((4000, 4000), 15)])
def test_a_keypoint_is_as_large_as_said(size, radius):
    middle = size[0] / 2
    shape = Shape(box_of(size), 0, [], PALETTE[0], keypoints=np.array([[middle, middle, 2.0]]))
    drawn = draw_shapes(np.zeros((*size, 3), np.uint8), [shape], False, False, None)
    columns = np.flatnonzero(drawn[size[0] // 2].any(axis=-1))
    assert np.ptp(columns) == pytest.approx(2 * radius, abs=1)
