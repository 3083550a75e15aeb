"""Matterport's pooling, against TensorFlow's `crop_and_resize`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_maskrcnn.poolers.crop_and_resize import CropAndResizeLayer

STRIDES = (4, 8)


def _features(rng, picture=(64, 96)):
    return [
        tf.constant(rng.normal(size=(2, picture[0] // s, picture[1] // s, 3)), tf.float32)
        for s in STRIDES
    ]


# Boxes end on their last pixel. The picture counts as 224 x 224 at level 4: of sqrt(64 * 96) = 78
# pixels, boxes from 40 pixels on belong to level 3 (rounded up from 2.5), smaller ones to level 2.
BOXES = np.array(
    [
        [[0, 0, 95, 63], [10.3, 5.9, 20.1, 50.2], [90, 60, 95, 63]],
        [[3, 3, 3, 3], [0, 0, 0, 0], [1.5, 2.5, 94.2, 20.8]],
    ],
    "float32",
)


@pytest.mark.parametrize("size", [7, (2, 5), 1])
def test_equals_tensorflow(size):
    rng = np.random.default_rng(0)
    features = _features(rng)
    height, width = (size, size) if isinstance(size, int) else size
    layer = CropAndResizeLayer(size, STRIDES)
    pooled = layer(features, BOXES)
    assert pooled.shape == (2, 3, height, width, 3)
    normalised = (BOXES / [95, 63, 95, 63])[..., [1, 0, 3, 2]].reshape(-1, 4)
    for image in range(2):
        for row in range(3):
            expected = [
                tf.image.crop_and_resize(
                    level, normalised[None, 3 * image + row], [image], (height, width)
                )[0]
                for level in features
            ]
            # Without a smaller level than 2: all of these boxes are on it, in a picture this small.
            np.testing.assert_allclose(pooled[image, row], expected[0], atol=1e-4)


def test_levels_are_rounded():
    layer = CropAndResizeLayer(2, (4, 8, 16, 32))
    features = [tf.zeros((1, 1024 // s, 1024 // s, 1)) for s in (4, 8, 16, 32)]
    # 224 pixels of 1024 are level 4; half an octave less is the border to level 3.
    sides = np.array([224, 160, 157, 112, 80, 78, 20, 0, 314, 318, 1023], "float32")
    boxes = np.stack([0 * sides, 0 * sides, sides, sides], axis=-1)[None]
    _, levels = layer.regions(features, tf.constant(boxes))
    np.testing.assert_array_equal(levels[0] + 2, [4, 4, 3, 3, 3, 2, 2, 2, 4, 5, 5])


def test_gradient():
    rng = np.random.default_rng(1)
    features, weights = _features(rng), rng.normal(size=(2, 3, 4, 4, 3)).astype("float32")
    layer = CropAndResizeLayer(4, STRIDES)
    normalised = (BOXES / [95, 63, 95, 63])[..., [1, 0, 3, 2]].reshape(-1, 4)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(features)
        ours = tf.reduce_sum(layer(features, BOXES) * weights)
        crops = tf.image.crop_and_resize(features[0], normalised, [0, 0, 0, 1, 1, 1], (4, 4))
        expected = tf.reduce_sum(crops * weights.reshape(crops.shape))
    np.testing.assert_allclose(
        tape.gradient(ours, features[0]), tape.gradient(expected, features[0]), atol=1e-4
    )


def test_serialisation():
    layer = CropAndResizeLayer((2, 5), STRIDES, backend="reference", name="crop")
    config = layer.get_config()
    assert "sampling_ratio" not in config
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(twin) is CropAndResizeLayer and twin.get_config() == config
