"""GroupedConv2D and its gradient against one dense convolution per group."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_maskrcnn.layers.grouped_conv import GroupedConv2D
from keras_maskrcnn.ops.grouped_conv import grouped_conv2d


def _per_group(x, kernel, groups, stride):
    """Groups as separate convolutions, whose gradient is TensorFlow's own."""
    pieces = zip(tf.split(x, groups, axis=-1), tf.split(kernel, groups, axis=-1), strict=True)
    return tf.concat([tf.nn.conv2d(a, k, stride, "VALID") for a, k in pieces], axis=-1)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(9, 12), (10, 7), (3, 3)])
@pytest.mark.parametrize("channels", [(8, 8), (8, 12), (4, 4)])
def test_value_and_gradient(stride, size, channels):
    groups, (inputs, outputs) = 4, channels
    rng = np.random.default_rng(1)
    x = tf.constant(rng.normal(size=(2, *size, inputs)), tf.float32)
    kernel = tf.constant(rng.normal(size=(3, 3, inputs // groups, outputs)), tf.float32)
    results = []
    for function in (
        lambda x, k: grouped_conv2d(x, k, groups=groups, stride=stride),
        lambda x, k: _per_group(x, k, groups, stride),
    ):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = function(x, kernel)
            loss = tf.reduce_sum(y * y * y)
        results.append([y, *tape.gradient(loss, [x, kernel])])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-6 * np.abs(theirs).max(), rtol=1e-5)


def test_layer_is_kerass_with_symmetric_padding():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(1, 8, 11, 6)).astype("float32")
    ours = GroupedConv2D(9, 3, groups=3, strides=2, use_bias=True)
    stock = keras.layers.Conv2D(9, 3, strides=2, groups=3)
    y = ours(x)
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    stock.build(padded.shape)
    ours.bias.assign(rng.normal(size=9))
    stock.kernel.assign(ours.kernel)
    stock.bias.assign(ours.bias)
    np.testing.assert_allclose(ours(x), stock(padded), rtol=1e-5, atol=1e-6)
    assert y.shape == ours.compute_output_shape(x.shape) == (1, 4, 6, 9)


def test_trains_in_a_graph_of_unknown_size():
    inputs = keras.Input((None, None, 4))
    model = keras.Model(inputs, GroupedConv2D(4, 3, groups=2, strides=2)(inputs))
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    x = np.random.default_rng(3).normal(size=(2, 7, 9, 4)).astype("float32")
    losses = [model.train_on_batch(x, np.ones((2, 4, 5, 4), "float32")) for _ in range(20)]
    assert losses[-1] < 0.9 * losses[0]


def test_config_round_trip():
    layer = GroupedConv2D(
        8, 5, groups=2, strides=3, use_bias=True, kernel_initializer="he_normal", name="g"
    )
    clone = GroupedConv2D.from_config(layer.get_config())
    assert clone.get_config() == layer.get_config()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": 7, "kernel_size": 3}, "multiple of groups=2. Received: filters=7"),
        ({"filters": 8, "kernel_size": 4}, "odd. Received: kernel_size=4"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        GroupedConv2D(groups=2, **arguments)


def test_bad_input():
    with pytest.raises(ValueError, match="channels must be a multiple of groups=2"):
        GroupedConv2D(8, 3, groups=2).build((None, None, None, 5))
