"""Several moves at once: the composed matrix, one resampling, nothing lost in between."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from keras_maskrcnn.data.records import Instance
from keras_maskrcnn.data.transforms import (
    Action,
    Flip,
    Fused,
    Perspective,
    RandomCrop,
    Rotate,
    Sample,
    ScaleJitter,
    Shear,
    Transform,
    make_transforms,
)
from keras_maskrcnn.data.transforms.flip import FlipAction
from keras_maskrcnn.data.transforms.fused import FusedMove
from keras_maskrcnn.data.transforms.perspective import PerspectiveAction
from keras_maskrcnn.data.transforms.quarter_turn import QuarterTurnAction
from keras_maskrcnn.data.transforms.random_crop import CropAction
from keras_maskrcnn.data.transforms.resampling import resample
from keras_maskrcnn.data.transforms.rotate import RotateAction
from keras_maskrcnn.data.transforms.scale_jitter import ScaleJitterAction
from keras_maskrcnn.data.transforms.shear import ShearAction
from keras_maskrcnn.outlines import Bitmap, Polygons

HEIGHT, WIDTH = 48, 64
MOVES = (
    PerspectiveAction(((0.05, 0.1), (-0.1, 0.0), (0.0, 0.05), (0.1, -0.1))),
    FlipAction(),
    RotateAction(20.0, expand=True),
    ShearAction(8.0, -5.0),
    QuarterTurnAction(1),
    ScaleJitterAction((100, 80), (7, 3), (90, 70)),
    CropAction((10, 5), (70, 60)),
)


def smooth(height=HEIGHT, width=WIDTH):
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def given():
    outline = Polygons([[24, 18, 40, 20, 36, 32, 26, 30]])
    points = np.array([[30, 22, 2], [34, 26, 2]], "float32")
    thing = Instance(0, outline.bounds(), outline, False, None, 1, points)
    bits = np.ones((6, 8), bool)
    return Sample(
        smooth(), (thing, Instance(0, (30, 20, 38, 26), Bitmap(bits, 30, 20), True, None, 2)), ()
    )


def test_the_matrix_is_the_product():
    fused = FusedMove(MOVES)
    points = np.array([[30.0, 20, 1], [20, 30, 1], [40, 35, 1]]).T
    size, moved = (HEIGHT, WIDTH), points
    for move in MOVES:
        rows = move.matrix(*size)
        moved = (rows if len(rows) == 3 else np.vstack([rows, [0, 0, 1]])) @ moved
        size = move.new_size(*size)
    assert fused.new_size(HEIGHT, WIDTH) == size == (70, 60)
    found = fused.matrix(HEIGHT, WIDTH) @ points
    np.testing.assert_allclose(found[:2] / found[2], moved[:2] / moved[2], rtol=1e-12)


def test_objects_and_pixels_are_those_of_one_after_another():
    one_by_one = given()
    for move in MOVES:
        one_by_one = move.apply(one_by_one)
    at_once = FusedMove(MOVES).apply(given())
    assert len(at_once.instances) == 2
    for a, b in zip(at_once.instances, one_by_one.instances, strict=True):
        np.testing.assert_allclose(a.box, b.box, atol=1e-9)
        assert a.area == pytest.approx(b.area, rel=1e-6)
    np.testing.assert_allclose(at_once.objects[0].keypoints, one_by_one.objects[0].keypoints)
    # A smooth picture hardly changes by being resampled more often.
    different = np.abs(at_once.image.astype(int) - one_by_one.image)
    assert np.median(different) <= 4
    rows = FusedMove(MOVES).matrix(HEIGHT, WIDTH)
    np.testing.assert_array_equal(at_once.image, resample(given().image, rows, (70, 60)))


def test_it_is_sharper():
    """There and back again by 30 degrees: nothing has happened, at once; all is blurred in turn."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    moves = RotateAction(30.0, expand=True), RotateAction(-30.0), CropAction((9, 9), (48, 48))
    assert moves[0].new_size(48, 48) == (66, 66)
    in_turn = Sample(noise)
    for move in moves:
        in_turn = move.apply(in_turn)
    at_once = FusedMove(moves).apply(Sample(noise))
    assert np.abs(at_once.image.astype(int) - noise).max() <= 1
    assert np.abs(in_turn.image.astype(int) - noise).mean() > 30


def test_nothing_is_lost_in_between():
    """Shifted out of sight by a shear and back."""
    corner = Instance(0, (0.0, 44.0, 4.0, 48.0), None, True, None, 1)
    moves = ShearAction(-40.0, 0.0), ShearAction(40.0, 0.0)
    start = Sample(smooth(), (corner,))
    in_turn = moves[1].apply(moves[0].apply(start))
    assert in_turn.instances == () and (in_turn.image[-1, 0] == (124, 116, 104)).all()
    at_once = FusedMove(moves).apply(start)
    np.testing.assert_allclose(at_once.crowds[0].box, corner.box, atol=1e-9)
    assert np.abs(at_once.image.astype(int) - start.image).max() <= 1


def test_turns_are_turns():
    fused = FusedMove((FlipAction(), QuarterTurnAction(1), QuarterTurnAction(1)))
    np.testing.assert_array_equal(fused.turn(HEIGHT, WIDTH), [[1, 0], [0, -1]])
    np.testing.assert_array_equal(fused.apply(given()).image, given().image[::-1])
    assert FusedMove(MOVES).turn(HEIGHT, WIDTH) is None


def test_draws():
    """The same as one after another: each sees the size and objects that the earlier ones left."""
    parts = [Flip(), Rotate(expand=True), Shear(), ScaleJitter(size=40), RandomCrop(size=(20, 24))]
    fused = Fused(transforms=parts, fill=7, min_visible=0.25)
    for seed in range(5):
        action = fused.draw(np.random.default_rng(seed), given())
        rng, sample, moves = np.random.default_rng(seed), given(), []
        for part in parts:
            move = part.draw(rng, sample)
            if move is not None:
                moves.append(move)
                sample = move.apply(sample)
        assert [m.describe() for m in action.moves] == [m.describe() for m in moves]
        assert (action.fill, action.min_visible) == (7, 0.25)
        assert action.apply(given()).size == (20, 24)
    described = json.loads(json.dumps(action.describe()))
    assert described["action"] == "FusedMove" and len(described["moves"]) == len(moves)
    assert Fused(transforms=[Flip(probability=0)]).draw(rng, given()) is None
    assert Fused(transforms=None).draw(rng, given()) is None


def test_it_can_be_written_down():
    fused = Fused(transforms=["flip", Rotate(degrees=(1, 2))], fill=(1, 2, 3))
    config = json.loads(json.dumps(fused.get_config()))
    assert config["transforms"][1]["degrees"] == [1, 2]
    (again,) = make_transforms(config)
    assert again.get_config() == fused.get_config()
    drawn = [f.draw(np.random.default_rng(3), given()).describe() for f in (fused, again)]
    assert drawn[0] == drawn[1]


def test_what_cannot_be_fused():
    @dataclasses.dataclass(frozen=True)
    class Nothing(Action):
        def apply(self, sample):
            return sample

    class Colours(Transform):
        def draw(self, rng, sample):
            return Nothing()

    rng = np.random.default_rng(0)
    with pytest.raises(TypeError, match="must draw moves.*Colours, which drew Nothing"):
        Fused(transforms=[Flip(), Colours()]).draw(rng, given())
    words = "a perspective must be the first.*PerspectiveAction after RotateAction"
    with pytest.raises(ValueError, match=words):
        Fused(transforms=[Rotate(), Perspective()]).draw(rng, given())
    assert Fused(transforms=[Perspective(), Rotate()]).draw(rng, given()) is not None
