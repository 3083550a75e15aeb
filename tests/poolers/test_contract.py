"""What every pooler owes, whichever it is; a new one runs through this by its registration."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_maskrcnn.poolers import POOLERS, RoIAlignLayer, RoIWarpLayer, make_pooler

STRIDES = (4, 8, 16, 32)
# One constant per level, so that a pooled value names the level it came from.
LEVELS = [np.full((2, 512 // s, 512 // s, 3), level, "float32") for level, s in enumerate(STRIDES)]


@pytest.fixture(params=POOLERS.names)
def pooler_class(request):
    return POOLERS.find(request.param)


def test_boxes_go_to_the_level_of_their_size(pooler_class):
    sides = [20, 110, 224, 300, 448, 500]  # FPN, equation 1, canonical 224 on P4
    expected = [0, 0, 2, 2, 3, 3]
    boxes = np.array([[[0, 0, side, side] for side in sides]] * 2, "float32")
    if pooler_class.__name__ == "CropAndResizeLayer":  # rounds levels to the nearest
        expected = [0, 1, 2, 2, 3, 3]
    pooled = pooler_class(7, STRIDES)(LEVELS, boxes)
    assert pooled.shape == (2, 6, 7, 7, 3)
    np.testing.assert_allclose(pooled[:, :, 3, 3, 0], [expected] * 2, atol=1e-6)


def test_boxes_of_a_list_are_read_from_their_own_image(pooler_class):
    image = np.zeros((2, 8, 8, 1), "float32")
    image[1] = 1.0
    boxes = np.array([[2, 2, 28, 28]] * 3, "float32")
    layer = pooler_class(2, (4,))
    pooled = layer([image], boxes, np.array([1, 0, 1]))
    np.testing.assert_array_equal(pooled[:, 0, 0, 0], [1, 0, 1])
    with pytest.raises(ValueError, match="needs the images"):
        layer([image], boxes)


def test_a_shift_by_whole_cells_shifts_what_is_read(pooler_class):
    features = np.random.default_rng(0).normal(size=(1, 16, 16, 2)).astype("float32")
    shifted = np.roll(features, 1, axis=2)
    box = np.array([[[8.5, 9.25, 40.75, 37.0]]], "float32")
    layer = pooler_class(3, (4,))
    if pooler_class.__name__ == "CropAndResizeLayer":
        pytest.skip("stretches the map between its corner cells: no whole cell is a shift")
    moved = layer([shifted], box + np.array([4, 0, 4, 0], "float32"))
    np.testing.assert_allclose(moved, layer([features], box), atol=1e-5)


def test_gradient_reaches_the_features(pooler_class):
    features = tf.Variable(np.random.default_rng(0).normal(size=(1, 8, 8, 2)).astype("float32"))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(
            pooler_class(2, (4,))([features.value()], np.array([[[0, 0, 28, 28]]], "float32"))
        )
    gradient = tape.gradient(total, features).numpy()
    assert gradient.sum() == pytest.approx(2 * 4, rel=1e-5)  # each bin's weights add up to 1


def test_config_is_complete(pooler_class):
    layer = pooler_class((3, 5), (8, 16), backend="reference", name="pool")
    config = layer.get_config()
    own = set(inspect.signature(pooler_class.__init__).parameters) - {"self", "kwargs", "args"}
    assert own <= set(config)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is pooler_class and again.get_config() == config
    assert (again.output_size, again.strides, again.backend) == ((3, 5), (8, 16), "reference")
    with pytest.raises(ValueError, match=r"twice the one before. Received: strides=\(4, 16\)"):
        pooler_class(2, (4, 16))


def test_made_from_what_a_user_may_say():
    choice = {"name": "roi_align", "sampling_ratio": 0, "aligned": False}
    by_dict = make_pooler(choice, 7, (4, 8), "a")
    by_object = make_pooler(RoIAlignLayer(3, sampling_ratio=0, aligned=False), 7, (4, 8), "a")
    assert by_dict.get_config() == by_object.get_config()
    assert (by_dict.sampling_ratio, by_dict.aligned, by_dict.output_size) == (0, False, (7, 7))
    assert make_pooler("roi_pool", 14, (4,), "b", "reference").backend == "reference"
    with pytest.raises(ValueError, match="Did you mean 'roi_align'"):
        make_pooler("roi_aling", 7, (4,), "c")
    with pytest.raises(ValueError, match="no setting .sampling.*mean .sampling_ratio"):
        make_pooler({"name": "roi_align", "sampling": 2}, 7, (4,), "d")
    with pytest.raises(ValueError, match="pooler 'roi_align' has no setting 'sampling'"):
        make_pooler({"sampling": 2}, 7, (4,), "e")


def test_roi_warp_by_hand():
    """A ramp 0..7 along x: readings are where the rounded RoI says, cells' centres at +.5."""
    ramp = np.tile(np.arange(8.0, dtype="float32")[None, None, :, None], (1, 8, 1, 1))
    # In cells x 1.4..4.6: rounded to 1 and 5, whose last cell belongs to the RoI: 1..6.
    box = np.array([[[5.6, 4.0, 18.4, 20.0]]], "float32")
    pooled = RoIWarpLayer(5, (4,), sampling_ratio=1)([ramp], box)
    np.testing.assert_allclose(pooled[0, 0, 2, :, 0], [1, 2, 3, 4, 5], atol=1e-6)
    # Moved by less than rounding notices; RoIAlign notices.
    moved = box + 0.3
    np.testing.assert_array_equal(
        RoIWarpLayer(5, (4,))([ramp], moved), RoIWarpLayer(5, (4,))([ramp], box)
    )
    assert (
        np.abs(RoIAlignLayer(5, (4,))([ramp], moved) - RoIAlignLayer(5, (4,))([ramp], box)).min()
        > 0.05
    )
    # Halves go away from zero, as Fast R-CNN's kernel rounds: 2.5 -> 3, 4.5 -> 5.
    halves = np.array([[[10.0, 4.0, 18.0, 20.0]]], "float32")
    pooled = RoIWarpLayer(3, (4,), sampling_ratio=1)([ramp], halves)
    np.testing.assert_allclose(pooled[0, 0, 1, :, 0], [3, 4, 5], atol=1e-6)
