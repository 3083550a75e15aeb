"""What is said about pictures and ground truth that a model cannot mean."""

from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest
from helpers import TINY_SIZE, batch

from keras_maskrcnn.heads import Keypoint, Mask
from keras_maskrcnn.models.input_checks import SizeCheck, check_picture, shown
from keras_maskrcnn.models.target_checks import check_batch


def _network(*heads):
    """What checks read of a network with two classes."""
    return SimpleNamespace(box=SimpleNamespace(num_classes=2), heads=heads)


NETWORK = _network(Mask())
NOISE = np.random.default_rng(0).uniform(0, 255, (8, 9, 3))


@pytest.mark.parametrize(
    "picture",
    [
        NOISE,
        NOISE.astype("uint8"),
        NOISE.astype("int64"),
        NOISE.astype("uint16") * 257,  # By its type, 0..65535.
        NOISE.astype(ml_dtypes.bfloat16),
        np.zeros((8, 8, 3)),  # Black.
        (NOISE > 128).astype("uint8"),  # Nearly black.
        NOISE + 0.4,  # As another library rounds.
    ],
)
def test_pictures_as_they_are_meant(picture):
    check_picture(picture, "one")


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (NOISE / 255, r"multiply pixels in 0\.\.1 by 255\. Received: one of dtype float64, min"),
        ((NOISE / 255).astype("float16"), "multiply pixels in"),
        ((NOISE / 255).astype(ml_dtypes.bfloat16), "multiply pixels in"),
        (NOISE / 127.5 - 1, "normalises pictures itself"),
        (NOISE - 120, "normalises pictures itself"),
        (np.where(NOISE > 200, np.nan, NOISE), "some are NaN or infinite"),
        (np.where(NOISE > 200, np.inf, NOISE), "some are NaN or infinite"),
        (NOISE.astype("int32") * 257, "16 bits by pixels / 257"),
        (NOISE > 128, "numbers are needed. Received: one of dtype bool"),
        (NOISE.astype(str), "numbers are needed"),
        (NOISE[..., 0], r"makes a grey one RGB\. Received: one of shape \(8, 9\)"),
        (NOISE[..., :1], r"makes a grey one RGB\. Received: one of shape \(8, 9, 1\)"),
        (np.ones((8, 9, 4)), "leaves transparency out"),
        (np.moveaxis(NOISE, -1, 0), "puts channels last"),
        (np.ones((0, 9, 3)), r"shape \(0, 9, 3\)"),
    ],
)
def test_pictures_of_another_form(picture, message):
    with pytest.raises(ValueError, match=message) as error:
        check_picture(picture, "one")
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


def _changed(**values):
    images, targets = batch()
    images = values.pop("images", images)
    targets["image_ids"] = np.array([7, 8])
    return images, {**targets, **values}


def _row(name, value, row=1):
    """One object of the second picture changed."""
    array = batch()[1][name].copy()
    array[1, row] = value
    return {name: array}


def test_batches_as_they_are_meant():
    check_batch(*batch(), NETWORK)
    check_batch(*batch(objects=False), NETWORK)
    images, targets = batch()
    check_batch(images.astype("uint8"), targets, NETWORK)
    # The black one of two pictures, and a box that rounding moved over the edge.
    black = images * np.array([0, 1], "float32")[:, None, None, None]
    check_batch(*_changed(images=black / 200, **_row("boxes", [-0.3, 10, 96.4, 64.2])), NETWORK)
    # Whole masks, as large as the pictures.
    masks = np.zeros((2, 3, 64, 96), "uint8")
    masks[..., 4:40, 4:40] = 255
    check_batch(*_changed(masks=masks), NETWORK)
    check_batch(*batch(keypoints=4), _network(Mask(), Keypoint(num_keypoints=4)))
    without = batch()[1]
    for name in ("masks", "image_ids", "original_sizes"):
        del without[name]
    check_batch(images, without, _network())


NAMED = r"picture 1 of the batch \(image id 8\)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_row("classes", 2), rf"0\.\.1, .*from 0, without background\. .*{NAMED} with class 2"),
        (_row("classes", 9), rf"classes must be 0\.\.1, and -1 .*{NAMED} with class 9"),
        (_row("classes", -2), rf"{NAMED} with class -2"),
        (_row("boxes", [30, 20, 12, 30]), rf"x, y, width, height become .*{NAMED}.*\[30\.0, 20"),
        (_row("boxes", [30, 20, 40, 20]), rf"x2 over x1 and y2 over y1.*{NAMED}"),
        (_row("boxes", [10, 70, 20, 90]), rf"the batch holds it, 96 wide and 64 high.*{NAMED}"),
        (_row("boxes", [-3, 10, 20, 30]), rf"inside the picture.*{NAMED}"),
        (_row("boxes", [3, 10, np.nan, 30]), rf"finite numbers.*{NAMED}"),
        ({"boxes": batch()[1]["boxes"] / 96}, r"multiply fractions by .*picture 0 .*image id 7"),
        (_row("crowd_boxes", [50, 0, 14, 20], 0), rf"crowd_boxes must be .*{NAMED}"),
        ({"image_sizes": np.array([[64, 96], [96, 64]])}, rf"{NAMED} with image_sizes=\(96, 64\)"),
        ({"image_sizes": np.array([[64, 96], [0, 64]])}, rf"{NAMED} with image_sizes=\(0, 64\)"),
        ({"masks": batch()[1]["masks"] // 255}, "multiply them by 255. Received: .* maximum of 1"),
        ({"masks": np.zeros((2, 3, 28, 28), "uint8")}, r"side 112, .*\(64, 96\).*\(2, 3, 28, 28\)"),
        ({"masks": np.zeros((2, 64, 96, 3), "uint8")}, r"\[B, N, side, side\].*\(2, 64, 96, 3\)"),
        ({"boxes": np.zeros((2, 3, 5))}, r"boxes of a batch must have the shape \(2, N, 4\)"),
        ({"classes": np.zeros((2, 4), int)}, r"shape \(2, 3\)\. Received: classes of shape \(2, 4"),
        ({"image_sizes": np.ones((2, 3), int)}, r"image_sizes of a batch must have .*\(2, 2\)"),
        ({"images": batch()[0] / 255}, r"multiply pixels in 0\.\.1 .*picture 0 .*image id 7"),
        ({"images": batch()[0][0]}, r"must be \[B, H, W, 3\]\. Received: images of shape \(64, 96"),
    ],
)
def test_batches_of_another_form(change, message):
    with pytest.raises(ValueError, match=message) as error:
        check_batch(*_changed(**change), NETWORK)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


def test_keypoints_are_as_many_as_the_models():
    with pytest.raises(ValueError, match=r"\(2, 3, 5, 3\)\. Received: keypoints of shape"):
        check_batch(*batch(keypoints=4), _network(Mask(), Keypoint(num_keypoints=5)))


def test_sizes_that_differ_from_the_models():
    """The model makes the shorter side 64 and the longer at most 96."""
    for size in ((64, 96), (96, 64), (64, 64), (48, 96), (63, 95)):
        assert SizeCheck(TINY_SIZE, drawn=False).add(np.array([size])) is None, size
    for size in ((128, 128), (32, 48), (64, 128), (60, 60)):
        check = SizeCheck(TINY_SIZE, drawn=False)
        found = check.add(np.array([size]))
        assert f"are {size[0]} x {size[1]} (height x width)" in found
        assert "shorter side 64 and the longer at most 96" in found and check.decided


def test_sizes_that_training_draws_are_no_mistake():
    alike = SizeCheck(TINY_SIZE, drawn=True)
    assert [alike.add(np.array([[32, 48]] * 3)) is None for _ in range(3)] == [True, True, False]
    drawn = SizeCheck(TINY_SIZE, drawn=True)
    assert drawn.add(np.array([[32, 48], [48, 64]])) is None and drawn.decided
    also = SizeCheck(TINY_SIZE, drawn=True)
    assert also.add(np.array([[32, 48]] * 7 + [[64, 80]])) is None and also.decided


def test_values_in_messages_are_cut():
    assert shown("short") == "'short'"
    assert shown(list(range(10**5))).endswith("... (688890 characters)")
    assert len(shown(list(range(10**5)))) < 120
