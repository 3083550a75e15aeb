"""Transforms: choosing, drawing, applying; what moves do to objects, by hand."""

import dataclasses
import json
import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import make_data

from keras_maskrcnn.data.loading import PictureLoader
from keras_maskrcnn.data.records import Instance
from keras_maskrcnn.data.transforms import (
    Action,
    Flip,
    Move,
    Sample,
    Transform,
    make_transforms,
    transform_sample,
)
from keras_maskrcnn.data.transforms.flip import FlipAction
from keras_maskrcnn.outlines import RLE, Bitmap, Polygons
from keras_maskrcnn.outlines.raster import turn_cells

HEIGHT, WIDTH = 20, 30


@dataclasses.dataclass(frozen=True)
class MoveBy(Move):
    """Moves by any matrix; the picture stays as it is."""

    rows: tuple
    min_visible: float = 0.0
    height: int = HEIGHT

    def matrix(self, height, width):
        return np.array(self.rows, float)

    def new_size(self, height, width):
        return self.height, width

    def move_pixels(self, image):
        return image


def shift(x, y, **options):
    return MoveBy(((1, 0, x), (0, 1, y)), **options)


def rectangle(x1, y1, x2, y2):
    return Polygons([[x1, y1, x2, y1, x2, y2, x1, y2]])


def instance(x1, y1, x2, y2, outline="rectangle", **fields):
    if outline == "rectangle":
        outline = rectangle(x1, y1, x2, y2)
    fields = {"category": 0, "is_crowd": False, "annotation_id": 1} | fields
    area = float((x2 - x1) * (y2 - y1))
    return Instance(box=(x1, y1, x2, y2), outline=outline, annotated_area=area, **fields)


def sample(*instances, pairs=()):
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return Sample(image, instances, pairs)


def test_choices():
    assert make_transforms(None) == make_transforms(False) == make_transforms([]) == ()
    flip = Flip(probability=0.25)
    assert make_transforms(flip) == (flip,)
    for choice in (True, "flip", {"name": "flip"}, ["flip"]):
        (made,) = make_transforms(choice)
        assert isinstance(made, Flip) and made.probability == 0.5
    first, second = make_transforms([{"name": "flip", "probability": 1}, flip])
    assert (first.probability, second) == (1, flip)


@pytest.mark.parametrize(
    ("choice", "error", "words"),
    [
        ("flop", ValueError, "augment must be one of .*Did you mean 'flip'.*augment='flop'"),
        ({"probability": 1}, ValueError, "augment must be one of"),
        ({"name": "flip", "probabilty": 1}, ValueError, "Did you mean 'probability'"),
        ({"name": "flip", "probability": 2}, ValueError, "probability must be in 0..1"),
        (3, TypeError, "augment must be a name.*augment=3"),
        (["flip", lambda picture: picture], TypeError, "augment must be a name"),
        (keras.layers.RandomFlip(), TypeError, "augment must be True, a name.*RandomFlip"),
    ],
)
def test_choices_that_are_none(choice, error, words, tmp_path):
    with pytest.raises(error, match=words):
        make_data(tmp_path, [(30, 40)]).batches(1, augment=choice)


def test_settings_and_actions_can_be_written_down():
    config = json.loads(json.dumps(Flip(probability=0.125).get_config()))
    assert config == {"name": "flip", "probability": 0.125}
    assert make_transforms(config)[0].get_config() == config
    assert json.loads(json.dumps(FlipAction().describe())) == {"action": "FlipAction"}
    assert shift(1, 2).describe()["rows"] == ((1, 0, 1), (0, 1, 2))

    class Unnamed(Flip):
        pass

    with pytest.raises(ValueError, match=r"must be registered by a name.*Received: Unnamed"):
        Unnamed().get_config()


def test_an_action_is_the_same_each_time():
    given = sample(instance(3, 4, 9, 8))
    flip = Flip()
    outcomes = set()
    for seed in range(20):
        found, actions, turn = transform_sample(given, [flip, flip], np.random.default_rng(seed))
        again = given
        for action in pickle.loads(pickle.dumps(actions)):
            again = action.apply(again)
        np.testing.assert_array_equal(again.image, found.image)
        assert again.objects[0].box == found.objects[0].box
        np.testing.assert_array_equal(turn, np.diag([(-1) ** len(actions), 1]))
        outcomes.add(len(actions))
    assert outcomes == {0, 1, 2}
    assert pickle.loads(pickle.dumps(flip)).get_config() == flip.get_config()


def test_an_area_that_is_not_annotated_follows_from_the_moved_outline():
    outline = Polygons([[0, 0, 10, 0, 0, 10]])
    thing = Instance(0, (0.0, 0.0, 10.0, 10.0), outline, False, None, 1)
    (found,) = MoveBy(((1.5, 0, 0), (0, 0.5, 1))).apply(sample(thing)).objects
    assert found.annotated_area is None and found.area == pytest.approx(37.5)


def test_probability():
    rng = np.random.default_rng(0)
    draws = [Flip(probability=0.2).draw(rng, sample()) is not None for _ in range(1000)]
    assert 0.15 < np.mean(draws) < 0.25
    assert Flip(probability=0).draw(rng, sample()) is None
    assert Flip(probability=1).draw(rng, sample()) == FlipAction()


def test_flip_by_hand():
    points = np.array([[5, 1, 2], [2, 3, 1], [0, 0, 0]], "float32")
    given = sample(
        instance(1.5, 2, 4, 6, keypoints=points, attributes={"ripe": 1}),
        instance(0, 0, 10, 5, outline=None, is_crowd=True),
        pairs=((1, 2),),
    )
    found = FlipAction().apply(given)
    np.testing.assert_array_equal(found.image, given.image[:, ::-1])
    (thing,), (crowd,) = found.objects, found.crowds
    assert (thing.box, thing.area, thing.attributes) == ((26, 2, 28.5, 6), 10, {"ripe": 1})
    assert thing.outline.to_coco(1, 1) == [[28.5, 2, 26, 2, 26, 6, 28.5, 6]]
    np.testing.assert_array_equal(thing.keypoints, [[25, 1, 2], [0, 0, 0], [28, 3, 1]])
    assert (crowd.box, crowd.outline) == ((20, 0, 30, 5), None)
    # Nothing of the given sample is changed.
    np.testing.assert_array_equal(given.objects[0].keypoints, points)


def test_flip_twice_gives_everything_back():
    bits = np.random.default_rng(1).random((6, 9)) < 0.5
    points = np.array([[5.25, 1, 2], [40, 3, 1], [0, 0, 0]], "float32")
    given = sample(
        instance(2.5, 3.25, 9.75, 8, keypoints=points),
        instance(4, 5, 13, 11, outline=Bitmap(bits, 4, 5)),
        instance(0, 0, 30, 20, outline=RLE((20, 30), [0, 600])),
        # Its outline reaches out of the picture, its box was cut there.
        instance(25, 5, 30, 9, outline=rectangle(25, 5, 33, 9)),
        instance(29, 19, 30, 20),
        instance(1, 1, 5, 5, outline=None, is_crowd=True),
        pairs=((0, 1),),
    )
    there = FlipAction().apply(given)
    back = FlipAction().apply(there)
    np.testing.assert_array_equal(back.image, given.image)
    assert back.flip_pairs == given.flip_pairs
    for before, after in zip(given.instances, back.instances, strict=True):
        assert (before.box, before.area) == (after.box, after.area)
        if before.outline is not None:
            np.testing.assert_array_equal(
                after.outline.draw(after.box, 40), before.outline.draw(before.box, 40)
            )
            assert after.outline.bounds() == before.outline.bounds()
        if before.keypoints is not None:
            np.testing.assert_array_equal(after.keypoints, before.keypoints)
    assert there.instances[3].outline.bounds() == (-3, 5, 5, 9)


def test_a_flip_of_nothing():
    found = FlipAction().apply(sample())
    assert found.instances == () and found.size == (HEIGHT, WIDTH)


def test_moved_outlines_draw_as_moved_drawings():
    rng = np.random.default_rng(2)
    for _ in range(20):
        points = rng.uniform(0, 20, (9, 2))
        (x1, y1), (x2, y2) = points.min(0).tolist(), points.max(0).tolist()
        given = sample(instance(x1, y1, x2, y2, outline=Polygons([points.ravel().tolist()])))
        (found,) = FlipAction().apply(given).objects
        expected = given.objects[0].outline.draw(given.objects[0].box)[:, ::-1]
        assert np.abs(found.outline.draw(found.box).astype(int) - expected).max() <= 1


def test_what_stays_in_the_picture_keeps_its_box():
    # The annotated box is wider than the outline, as many are: a shift keeps it so.
    given = sample(instance(2, 2, 9, 9, outline=rectangle(3, 3, 8, 8)))
    (found,) = shift(4.5, -2).apply(given).objects
    assert (found.box, found.area) == ((6.5, 0, 13.5, 7), 49)
    assert found.outline.bounds() == (7.5, 1, 12.5, 6)
    (larger,) = MoveBy(((1.5, 0, 0), (0, 0.5, 1))).apply(given).objects
    assert (larger.box, larger.area) == ((3, 2, 13.5, 5.5), 49 * 0.75)


def test_what_is_cut_gets_the_bounds_of_the_rest():
    triangle = Polygons([[20, 5, 28, 5, 28, 13]])
    points = np.array([[21, 6, 2], [27, 12, 2], [0, 0, 0]], "float32")
    given = sample(
        instance(20, 5, 28, 13, outline=triangle, keypoints=points),
        instance(20, 5, 28, 13, outline=None, is_crowd=True),
        instance(24, 14, 29, 19),
        instance(0, 0, 4, 4),
    )
    # 26 wide is the picture now: x of 20..24 stays in sight, of the triangle its lower left part.
    found = shift(6, 0).apply(given)
    assert [i.annotation_id for i in found.instances] == [1, 1, 1]
    thing, crowd, corner = found.instances
    assert (thing.box, thing.area) == ((26, 5, 30, 9), pytest.approx(8))
    assert thing.outline.bounds() == thing.box
    np.testing.assert_array_equal(thing.keypoints, [[27, 6, 2], [0, 0, 0], [0, 0, 0]])
    assert (crowd.box, crowd.area, crowd.outline) == ((26, 5, 30, 13), pytest.approx(32), None)
    assert corner.box == (6, 0, 10, 4)


@pytest.mark.parametrize(("least", "kept"), [(0, 2), (0.19, 2), (0.21, 1), (0.5, 1), (0.51, 0)])
def test_what_is_hardly_visible_is_dropped(least, kept):
    given = sample(instance(20, 0, 30, 10), instance(26, 10, 30, 20))
    found = shift(8, 0, min_visible=least).apply(given)  # A fifth and a half stay in sight.
    given = sample(instance(20, 0, 30, 10), instance(26, 10, 30, 20), instance(20, 10, 24, 20))
    found = shift(8, 0, min_visible=least).apply(given)
    assert len(found.instances) == kept


def test_what_touches_the_border_only_has_vanished():
    given = sample(instance(0, 0, 5, 5), instance(1, 0, 6, 5), instance(0, 0, 5.001, 5))
    found = shift(-5, 0).apply(given)
    assert [i.box for i in found.instances] == [(0, 0, 1, 5)]


def test_other_moves_give_the_bounds_of_the_outline():
    # Half of a square, below its diagonal, turned by 45 degrees about its corner.
    triangle = Polygons([[10, 2, 16, 2, 10, 8]])
    boxed = instance(10, 2, 16, 8, outline=None)
    cos = np.sqrt(0.5)
    rows = ((cos, -cos, 10 - cos * 8), (cos, cos, 2 - cos * 12))
    found = MoveBy(rows).apply(sample(instance(10, 2, 16, 8, outline=triangle), boxed))
    left, height = 6 * cos, 6 * cos
    bounds = (10 - left, 2, 10 + left, 2 + height)
    np.testing.assert_allclose(found.objects[0].box, bounds, atol=1e-9)
    assert found.objects[0].area == pytest.approx(18)
    # Known by its box only: its corners'.
    np.testing.assert_allclose(found.objects[1].box, (10 - left, 2, 10 + left, 2 + 2 * height))
    assert found.objects[1].outline is None


def test_a_perspective():
    # x' = x / (1 + x / 20): 10 becomes 20/3, 20 becomes 10; y of 0 stays, of 10 becomes 20/3 or 5.
    rows = ((1, 0, 0), (0, 1, 0), (0.05, 0, 1))
    points = np.array([[10, 10, 2]], "float32")
    given = sample(instance(10, 0, 20, 10, keypoints=points))
    (found,) = MoveBy(rows).apply(given).objects
    np.testing.assert_allclose(found.box, (20 / 3, 0, 10, 20 / 3))
    assert found.area == pytest.approx((20 / 3 + 5) / 2 * (10 / 3))
    np.testing.assert_allclose(found.keypoints, [[20 / 3, 20 / 3, 2]])


def test_a_perspective_that_looks_like_a_mirror():
    # x' = 10 + .2 x / (1 - .03 x) grows with x, though its matrix holds -.1.
    rows = ((-0.1, 0, 10), (0, 1, 0), (-0.03, 0, 1))
    points = np.array([[10, 2, 2], [18, 4, 2]], "float32")
    given = sample(instance(10, 0, 20, 6, keypoints=points), pairs=((0, 1),))
    (found,) = MoveBy(rows).apply(given).objects
    np.testing.assert_allclose(found.keypoints[0], [10 + 2 / 0.7, 2 / 0.7, 2])


def test_which_moves_turn_drawn_masks():
    np.testing.assert_array_equal(FlipAction().turn(20, 30), [[-1, 0], [0, 1]])
    # Objects may be cut.
    assert shift(5, 0).turn(20, 30) is None
    assert Doubled().turn(20, 30) is None


@pytest.mark.parametrize("mirrors", [False, True])
def test_only_a_mirror_exchanges_keypoints(mirrors):
    points = np.array([[5, 5, 2], [8, 8, 2]], "float32")
    rows = {
        False: ((0, -1, 20), (1, 0, 0)),
        True: ((0, 1, 0), (1, 0, 0)),
    }[mirrors]
    given = sample(instance(4, 4, 9, 9, keypoints=points), pairs=((0, 1),))
    (found,) = MoveBy(rows).apply(given).objects
    expected = [[8, 8, 2], [5, 5, 2]] if mirrors else [[15, 5, 2], [12, 8, 2]]
    np.testing.assert_array_equal(found.keypoints, expected)


def test_a_picture_of_another_size_than_said():
    with pytest.raises(ValueError, match=r"MoveBy must give a picture of its new_size \(7, 30\)"):
        shift(0, 0, height=7).apply(sample())


@dataclasses.dataclass(frozen=True)
class AddNoise(Action):
    number: float

    def apply(self, sample):
        image = sample.image.astype("float32") + np.float32(self.number)
        return dataclasses.replace(sample, image=image)


class Noise(Transform):
    gives_floats = True

    def draw(self, rng, sample):
        return AddNoise(float(rng.random()))


class Twice(Transform):
    """Every object and crowd region once more."""

    def draw(self, rng, sample):
        return Doubled()


@dataclasses.dataclass(frozen=True)
class Doubled(Action):
    def apply(self, sample):
        return dataclasses.replace(sample, instances=sample.instances * 2)


@pytest.fixture
def data(tmp_path):
    return make_data(tmp_path, [(64, 96)] * 6)


SIZE = {"min_size": 64, "max_size": 96}


def test_pictures_of_floats(data):
    plain = [images.numpy() for images, _ in data.batches(1, **SIZE)]
    noisy = [images.numpy() for images, _ in data.batches(1, augment=Noise(), seed=0, **SIZE)]
    added = [b - a for a, b in zip(plain, noisy, strict=True)]
    values = [a.mean() for a in added]
    assert all(0 < v < 1 for v in values) and len(set(values)) == 6
    assert all(np.ptp(a) < 1e-4 for a in added)


def test_more_objects_than_slots(data):
    _, targets = next(iter(data.batches(1, augment=Twice(), max_objects=4, **SIZE)))
    np.testing.assert_array_equal(targets["classes"], [[0, 1, 0, 1]])
    np.testing.assert_array_equal(targets["masks"][0, 2:], targets["masks"][0, :2])
    message = r"Image id 100: expected at most 2 objects after the transforms. Received: 4"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        list(data.batches(1, augment=Twice(), **SIZE))


def test_draws_belong_to_the_picture(data):
    """The same whatever the order of pictures, their company, and how many are made at a time."""

    def passes(batches, count=3):
        found = []
        for _ in range(count):
            values = {}
            for images, targets in batches:
                for image, key in zip(images.numpy(), targets["image_ids"].numpy(), strict=True):
                    values[int(key)] = image
            found.append(values)
        return found

    options = {"augment": ["flip", Noise()], "seed": 5, **SIZE}
    expected = passes(data.batches(1, **options))
    threads = tf.data.Options()
    threads.threading.private_threadpool_size = 1
    others = [
        data.batches(4, **options),
        data.batches(2, shuffle=True, **options),
        data.batches(3, shuffle=True, cache=True, **options),
        data.batches(1, **options).with_options(threads),
    ]
    for other in others:
        for a, b in zip(expected, passes(other), strict=True):
            assert set(a) == set(b)
            for key, image in a.items():
                np.testing.assert_array_equal(image, b[key])
    (later,) = passes(data.batches(1, first_pass=2, **options), 1)
    np.testing.assert_array_equal(later[103], expected[2][103])
    assert (expected[0][103] != expected[1][103]).any()


def test_masks_that_cannot_turn_are_drawn_anew(data):
    """A shift cuts objects; what is cached are pictures, and masks only of what turns."""
    options = {"seed": 0, "cache": True}
    loader = PictureLoader(data, (), 0, 2, 96, True, True, False)
    assert loader(0, 0, 64)[7].shape == (2, 112, 112) and set(loader.masks) == {0}

    class Shift(Transform):
        def draw(self, rng, sample):
            return shift(float(rng.uniform(-40, 40)), 0, height=64)

    loader = PictureLoader(data, (Shift(),), 0, 2, 96, True, True, False)
    for epoch in range(5):
        fields = dict(zip(loader.shapes, loader(0, epoch, 64), strict=True))
        real = fields["classes"] >= 0
        widths = fields["boxes"][real, 2] - fields["boxes"][real, 0]
        assert (widths > 0).all()
        # Rectangles, wherever they are cut, fill their boxes.
        assert (fields["masks"][real] == 255).all()
    assert set(loader.samples) == {0} and not loader.masks
    for whole in (False, True):
        kept = data.batches(1, augment=Shift(), whole_masks=whole, **SIZE, **options)
        fresh = data.batches(1, augment=Shift(), whole_masks=whole, seed=0, **SIZE)
        for (_, a), (_, b) in zip(kept, fresh, strict=True):
            for name, values in a.items():
                np.testing.assert_array_equal(values, b[name])


def test_turns_one_after_another(tmp_path):
    """Masks that are turned as drawn are those of the turned outlines, in their boxes."""
    data = make_data(tmp_path, [(64, 64)] * 2)
    transposition = MoveBy(((0, 1, 0), (1, 0, 0)), height=64)
    for actions in ([transposition, FlipAction()], [FlipAction(), transposition]):
        turns = [Always(action=action) for action in actions]
        loader = PictureLoader(data, turns, 0, 2, 64, True, True, False)
        fields = dict(zip(loader.shapes, loader(0, 0, 64), strict=True))
        assert set(loader.masks) == {0}
        slope = Polygons([[4, 2, 40, 9, 7, 30]])
        given = Sample(np.zeros((64, 64, 3), np.uint8), (instance(4, 2, 40, 30, outline=slope),))
        found, _, turn = transform_sample(given, turns, np.random.default_rng(0))
        (thing,) = found.objects
        turned = turn_cells(slope.draw((4, 2, 40, 30)), turn).astype(int)
        assert np.abs(thing.outline.draw(thing.box) - turned).max() <= 1
        assert (fields["masks"] == 255).all()


class Always(Transform):
    def __init__(self, *, action):
        self.action = action

    def draw(self, rng, sample):
        return self.action


def test_transforms_need_neither_tensorflow_nor_keras():
    script = """
import sys
from keras_maskrcnn.data.transforms import Flip
Flip(probability=1).get_config()
print(sorted({"tensorflow", "keras"} & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


@pytest.mark.parametrize("error", [KeyError("k"), ValueError("v"), ZeroDivisionError("z")])
def test_whatever_a_transform_raises_names_the_picture(tmp_path, error):
    class Failing(Transform):
        def draw(self, rng, sample):
            raise error

    batches = make_data(tmp_path, [(30, 40)]).batches(1, augment=Failing())
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"Image id .*{error.args[0]}"):
        next(iter(batches))


def test_a_transform_that_takes_outlines_away(tmp_path):
    """The mask of one object is never taken for that of another."""

    @dataclasses.dataclass(frozen=True)
    class Strip(Action):
        def apply(self, sample):
            first, *rest = sample.instances
            bare = dataclasses.replace(first, outline=None)
            return dataclasses.replace(sample, instances=(bare, *rest))

    class Stripping(Transform):
        def draw(self, rng, sample):
            return Strip()

    data = make_data(tmp_path, [(30, 40)])
    with pytest.raises(tf.errors.InvalidArgumentError, match="Image id .*an outline for each of"):
        next(iter(data.batches(1, augment=Stripping())))
    next(iter(data.batches(1, augment=Stripping(), masks=False)))
