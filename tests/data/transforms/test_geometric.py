"""Moves of the library, each by hand: settings, draws, what happens to pictures and objects."""

import json
import pickle

import numpy as np
import pytest

from keras_maskrcnn.data.records import Instance
from keras_maskrcnn.data.transforms import (
    Perspective,
    QuarterTurn,
    RandomCrop,
    Rotate,
    Sample,
    ScaleJitter,
    Shear,
    VerticalFlip,
    make_transforms,
)
from keras_maskrcnn.data.transforms.perspective import PerspectiveAction
from keras_maskrcnn.data.transforms.quarter_turn import QuarterTurnAction
from keras_maskrcnn.data.transforms.random_crop import CropAction
from keras_maskrcnn.data.transforms.rotate import RotateAction
from keras_maskrcnn.data.transforms.scale_jitter import ScaleJitterAction
from keras_maskrcnn.data.transforms.shear import ShearAction
from keras_maskrcnn.data.transforms.vertical_flip import VerticalFlipAction
from keras_maskrcnn.images.input_size import resize_shape
from keras_maskrcnn.outlines import Polygons

HEIGHT, WIDTH = 20, 30
NAMES = ("vertical_flip", "quarter_turn", "rotate", "shear", "perspective", "scale_jitter")
NAMES += ("random_crop", "fused")


def rectangle(x1, y1, x2, y2):
    return Polygons([[x1, y1, x2, y1, x2, y2, x1, y2]])


def instance(x1, y1, x2, y2, outline="rectangle", is_crowd=False, number=1, keypoints=None):
    if outline == "rectangle":
        outline = rectangle(x1, y1, x2, y2)
    box = float(x1), float(y1), float(x2), float(y2)
    return Instance(0, box, outline, is_crowd, None, number, keypoints)


def sample(*instances, pairs=()):
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return Sample(image, instances, pairs)


def everything():
    """Objects of all kinds: of one pixel, on the border, crowds with and without an outline."""
    points = np.array([[12, 8, 2], [16, 9, 1], [0, 0, 0]], "float32")
    return sample(
        instance(10, 6, 18, 12, keypoints=points, number=1),
        instance(14, 9, 15, 10, number=2),
        instance(0, 0, 8, 5, number=3),
        instance(22, 12, 30, 20, number=4),
        instance(9, 11, 21, 16, is_crowd=True, number=5),
        instance(4, 4, 9, 9, outline=None, is_crowd=True, number=6),
        pairs=((0, 1),),
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_same_draw_gives_the_same(name):
    (transform,) = make_transforms(name)
    config = json.loads(json.dumps(transform.get_config()))
    (again,) = make_transforms(config)
    assert config["name"] == name and again.get_config() == transform.get_config()
    given, described = everything(), set()
    for seed in range(8):
        action = transform.draw(np.random.default_rng(seed), given)
        twin = again.draw(np.random.default_rng(seed), given)
        if action is None:
            assert twin is None
            continue
        described.add(json.dumps(action.describe()))
        assert twin.describe() == action.describe()
        first, second = action.apply(given), pickle.loads(pickle.dumps(twin)).apply(given)
        np.testing.assert_array_equal(first.image, second.image)
        assert first.image.dtype == np.uint8 and first.size == action.new_size(HEIGHT, WIDTH)
        for a, b in zip(first.instances, second.instances, strict=True):
            assert (a.annotation_id, a.box, a.area) == (b.annotation_id, b.box, b.area)
            x1, y1, x2, y2 = a.box
            height, width = first.size
            assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
    assert len(described) > (name != "vertical_flip")


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_without_objects(name):
    (transform,) = make_transforms(name)
    for seed in range(3):
        action = transform.draw(np.random.default_rng(seed), sample())
        assert action is None or action.apply(sample()).instances == ()


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_of_one_pixel(name):
    tiny = Sample(np.zeros((1, 1, 3), np.uint8), (instance(0, 0, 1, 1),))
    (transform,) = make_transforms(name)
    for seed in range(5):
        action = transform.draw(np.random.default_rng(seed), tiny)
        assert action is None or min(action.apply(tiny).size) >= 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "vertical_flip", "probability": 2}, "probability must be in 0..1"),
        ({"name": "rotate", "degrees": 10}, r"degrees must be two numbers.*degrees=10"),
        ({"name": "rotate", "degrees": [10, -10]}, r"with -360 <= low <= high <= 360"),
        ({"name": "rotate", "degrees": [0, float("nan")]}, "degrees must be two numbers"),
        ({"name": "rotate", "fill": [1, 2, 300]}, r"fill must be a number in 0..255.*300"),
        ({"name": "rotate", "fill": "grey"}, "fill must be a number"),
        ({"name": "rotate", "min_visible": -1}, "min_visible must be in 0..1"),
        ({"name": "shear", "x": [-45, 45]}, "x must be two numbers"),
        ({"name": "shear", "y": [0, True]}, "y must be two numbers"),
        ({"name": "perspective", "displacement": 0.25}, "displacement must be at most 0.24"),
        ({"name": "scale_jitter", "scale": [0, 1]}, "scale must be two numbers"),
        ({"name": "scale_jitter", "size": [8, 0]}, r"size must be a number of pixels.*\(8, 0\)"),
        ({"name": "scale_jitter", "size": 8.5}, "size must be a number of pixels"),
        ({"name": "random_crop", "part": [0.5, 1.5]}, "part must be two numbers"),
        ({"name": "random_crop", "probability": -1}, "probability must be in 0..1"),
        ({"name": "fused", "transforms": ["rotat"]}, "Did you mean 'rotate'"),
    ],
)
def test_settings_that_are_out_of_range(settings, words):
    with pytest.raises(ValueError, match=words):
        make_transforms(settings)


@pytest.mark.parametrize("quarters", [(1, 4), ()])
def test_quarters_that_are_none(quarters):
    with pytest.raises(ValueError, match=r"quarters must be some of 0, 1, 2, 3"):
        QuarterTurn(quarters=quarters)


def test_probabilities():
    rng, given = np.random.default_rng(0), sample()
    for cls in (VerticalFlip, Rotate, Shear, Perspective, RandomCrop):
        drawn = [cls(probability=0.3).draw(rng, given) is not None for _ in range(400)]
        assert 0.2 < np.mean(drawn) < 0.4
        assert all(cls(probability=1).draw(rng, given) is not None for _ in range(20))
        assert all(cls(probability=0).draw(rng, given) is None for _ in range(20))


def test_a_vertical_flip():
    points = np.array([[3, 3, 2], [5, 4, 1]], "float32")
    given = sample(instance(2, 2, 6, 7, keypoints=points), pairs=((0, 1),))
    found = VerticalFlipAction().apply(given)
    np.testing.assert_array_equal(found.image, given.image[::-1])
    (thing,) = found.objects
    assert thing.box == (2, 13, 6, 18) == thing.outline.bounds()
    # A mirror makes left right, whichever way it hangs.
    np.testing.assert_array_equal(thing.keypoints, [[5, 16, 1], [3, 17, 2]])
    np.testing.assert_array_equal(VerticalFlipAction().turn(20, 30), [[1, 0], [0, -1]])


@pytest.mark.parametrize(
    ("quarters", "box", "size"),
    [
        (1, (13, 2, 18, 6), (30, 20)),
        (2, (24, 13, 28, 18), (20, 30)),
        (3, (2, 24, 7, 28), (30, 20)),
    ],
)
def test_a_quarter_turn(quarters, box, size):
    given = sample(instance(2, 2, 6, 7), instance(2, 2, 6, 7, outline=None, is_crowd=True))
    found = QuarterTurnAction(quarters).apply(given)
    assert [i.box for i in found.instances] == [box, box] and found.size == size
    x1, y1, x2, y2 = (int(v) for v in box)
    window = np.rot90(given.image[2:7, 2:6], -quarters)
    np.testing.assert_array_equal(found.image[y1:y2, x1:x2], window)
    turned = QuarterTurnAction(quarters).turn(HEIGHT, WIDTH)
    assert turned is not None and np.linalg.det(turned) == 1


def test_rotations():
    # Counterclockwise about (15, 10): what is right of the centre comes to lie above it.
    given = sample(instance(18, 9, 22, 11), instance(0, 0, 2, 2, is_crowd=True))
    found = RotateAction(90.0).apply(given)
    (thing,) = found.instances  # The corner has left the picture.
    np.testing.assert_allclose(thing.box, (14, 3, 16, 7), atol=1e-9)
    # The sine is not quite one, and Pillow cuts fractions off.
    turned = np.rot90(given.image).astype(int)
    assert np.abs(found.image[:, 5:25] - turned[5:25]).max() <= 1
    assert (found.image[:, :5] == (124, 116, 104)).all()
    grown = RotateAction(90.0, expand=True).apply(given)
    assert grown.size == (30, 20)
    assert np.abs(grown.image - turned).max() <= 1
    np.testing.assert_allclose(grown.crowds[0].box, (0, 28, 2, 30), atol=1e-9)
    # 30 |cos| + 20 |sin| wide.
    assert RotateAction(30.0, expand=True).new_size(20, 30) == (32, 36)
    drawn = [Rotate(degrees=(5, 7)).draw(np.random.default_rng(s), given) for s in range(50)]
    assert 5 <= min(a.degrees for a in drawn) < 5.5 < 6.5 < max(a.degrees for a in drawn) <= 7


def test_a_shear():
    # tan = 1/2 along x: five pixels below the centre, things are 2.5 further right.
    action = ShearAction(float(np.degrees(np.arctan(0.5))), 0.0, fill=0)
    given = sample(instance(10, 10, 14, 14), instance(0, 18, 4, 20))
    first, corner = action.apply(given).objects
    np.testing.assert_allclose(first.box, (10, 10, 16, 14))
    assert first.area == pytest.approx(16)
    np.testing.assert_allclose(corner.box, (4, 18, 9, 20))
    lean = ShearAction(0.0, float(np.degrees(np.arctan(0.5)))).matrix(HEIGHT, WIDTH)
    np.testing.assert_allclose(lean @ (19, 3, 1), (19, 5))


def test_a_perspective():
    # The lower corners go inwards by a fifth of the width: a trapezium 30 wide above, 18 below.
    action = PerspectiveAction(((0.0, 0.0), (0.0, 0.0), (-0.2, 0.0), (0.2, 0.0)))
    matrix = action.matrix(HEIGHT, WIDTH)
    corners = np.array([[0, 0, 1], [30, 0, 1], [30, 20, 1], [0, 20, 1]]) @ matrix.T
    expected = [[0, 0], [30, 0], [24, 20], [6, 20]]
    np.testing.assert_allclose(corners[:, :2] / corners[:, 2:], expected, atol=1e-12)
    given = sample(instance(0, 0, 30, 20), instance(0, 0, 30, 20, outline=None, is_crowd=True))
    found = action.apply(given)
    for thing in found.instances:
        np.testing.assert_allclose(thing.box, (0, 0, 30, 20), atol=1e-9)
    assert found.objects[0].area == pytest.approx((30 + 18) / 2 * 20)
    assert (found.image[-1, :6] == (124, 116, 104)).all()
    rng, transform = np.random.default_rng(0), Perspective(displacement=0.24)
    for _ in range(200):
        action = transform.draw(rng, given)
        assert np.abs(action.corners).max() <= 0.24
        action.apply(Sample(np.zeros((HEIGHT, WIDTH, 3), np.uint8), given.instances))


def test_scale_jitter_by_hand():
    given = sample(instance(4, 2, 9, 7), instance(24, 14, 30, 20, is_crowd=True))
    smaller = ScaleJitterAction((10, 15), (0, 0), (20, 30), fill=128).apply(given)
    assert [i.box for i in smaller.instances] == [(2, 1, 4.5, 3.5), (12, 7, 15, 10)]
    assert (smaller.image[10:] == 128).all() and (smaller.image[:, 15:] == 128).all()
    assert np.ptp(smaller.image[:10, :15]) > 50
    larger = ScaleJitterAction((40, 60), (12, 16), (20, 30)).apply(given)
    (thing,) = larger.instances
    assert thing.box == (0, 0, 2, 2) == thing.outline.bounds() and thing.area == 4
    # Sides become whole pixels: each axis has its own factor.
    uneven = ScaleJitterAction((7, 9), (0, 0), (20, 30)).matrix(HEIGHT, WIDTH)
    np.testing.assert_allclose(uneven @ (30, 20, 1), (9, 7))


def test_scale_jitter_draws():
    large = ScaleJitter(scale=(0.1, 2.0), size=64)
    rng, given = np.random.default_rng(0), sample()
    actions = [large.draw(rng, given) for _ in range(400)]
    # 30 wide becomes 64 times the factor.
    widths = np.array([a.resized[1] for a in actions])
    assert 6 <= widths.min() < 12 and 120 < widths.max() <= 128 and 60 < widths.mean() < 75
    for action in actions:
        (height, width), (top, left) = action.resized, action.corner
        assert abs(height - width * 2 / 3) <= 0.75 and action.size == (64, 64)
        assert 0 <= top <= max(height - 64, 0) and 0 <= left <= max(width - 64, 0)
    corners = np.array([a.corner for a in actions if a.resized[0] > 80])
    assert len(corners) > 20 and np.corrcoef(corners.T)[0, 1] < 0.6
    own = ScaleJitter().draw(rng, given)
    assert own.size == given.size and 24 <= own.resized[1] <= 38
    assert resize_shape(64, 64, 64, 64) == (64, 64)


def test_what_reaches_out_of_the_picture_is_not_brought_in():
    """Nothing was to be seen there: neither of an outline, nor a keypoint."""
    points = np.array([[29, 5, 2], [31, 6, 2]], "float32")
    outline = rectangle(26, 4, 36, 8)
    given = sample(
        instance(26, 4, 30, 8, outline=outline, keypoints=points),
        instance(25, 4, 30, 8, outline=rectangle(31, 4, 36, 8)),
    )
    (found,) = ScaleJitterAction((10, 15), (0, 0), (20, 30)).apply(given).objects
    assert found.box == (13, 2, 15, 4) == found.outline.bounds()
    np.testing.assert_array_equal(found.keypoints, [[14.5, 2.5, 2], [0, 0, 0]])
    # Far beyond, it would meet the horizon of a perspective.
    far = instance(26, 4, 30, 8, outline=rectangle(26, 4, 4000, 8), keypoints=points * 100)
    action = PerspectiveAction(((0.0, 0.0), (0.0, 0.2), (0.0, -0.2), (0.0, 0.0)))
    assert (action.matrix(HEIGHT, WIDTH) @ (4000, 4, 1))[2] != 0
    (found,) = action.apply(sample(far)).objects
    np.testing.assert_allclose(found.box[2], 30)


def test_crops():
    action = CropAction((5, 10), (10, 12), 0.5)
    points = np.array([[12, 7, 2], [23, 7, 2]], "float32")
    given = sample(
        instance(11, 6, 14, 9, keypoints=points, number=1),
        instance(6, 6, 14, 9, number=2),  # Half of it is left,
        instance(4, 6, 14, 9, number=3),  # of this two fifths.
        instance(0, 0, 10, 20, number=4),
        instance(20, 13, 30, 20, outline=None, is_crowd=True, number=5),
        instance(21, 14, 23, 16, outline=None, is_crowd=True, number=6),
    )
    found = action.apply(given)
    np.testing.assert_array_equal(found.image, given.image[5:15, 10:22])
    assert [(i.annotation_id, i.box) for i in found.instances] == [
        (1, (1, 1, 4, 4)),
        (2, (0, 1, 4, 4)),
    ]
    np.testing.assert_array_equal(found.objects[0].keypoints, [[2, 2, 2], [0, 0, 0]])
    assert [i.annotation_id for i in CropAction((5, 10), (10, 12)).apply(given).instances] == [
        1,
        2,
        3,
        5,
        6,
    ]


def test_crops_keep_objects_whole_where_they_can():
    given = sample(*(instance(x, y, x + 3, y + 3) for x in (2, 12, 22) for y in (3, 13)))
    rng = np.random.default_rng(0)

    def cut(transform, given):
        counts = []
        for _ in range(100):
            found = transform.draw(rng, given).apply(given)
            counts.append(sum(o.area < 8.99 for o in found.objects))
            sizes.append(found.size)
            objects.append(len(found.objects))
        return np.mean(counts)

    sizes, objects = [], []
    assert cut(RandomCrop(size=(12, 14)), given) == 0
    assert set(sizes) == {(12, 14)} and min(objects) > 0
    assert cut(RandomCrop(size=(12, 14), whole_objects=False), given) > 0.5
    # No window that is as large holds one of them whole.
    sizes.clear()
    assert cut(RandomCrop(size=2), given) <= 1
    assert cut(RandomCrop(size=100), given) == 0 and sizes[-1] == (20, 30)
    sizes.clear()
    cut(RandomCrop(part=(0.2, 0.6)), given)
    heights, widths = np.array(sizes).T
    assert 4 <= heights.min() < 6 and 10 < heights.max() <= 12
    assert 6 <= widths.min() < 8 and 16 < widths.max() <= 18
    assert abs(np.corrcoef(heights, widths)[0, 1]) < 0.3
