"""ConvBlock against stock Keras layers in a row, value and gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_maskrcnn.layers.conv_block import ConvBlock

NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def _noise(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def _randomise(layer):
    random = np.random.default_rng(0)
    for v in layer.weights:
        low, high = (0.5, 2.0) if v.name in ("gamma", "moving_variance") else (-1.0, 1.0)
        v.assign(random.uniform(low, high, v.shape))


def _spread(kernel, dilation):
    """The kernel with zeros between its taps."""
    height, width, *channels = kernel.shape
    cells = kernel[:, None, :, None]
    gap = [0, dilation - 1]
    cells = tf.pad(cells, [[0, 0], gap, [0, 0], gap, [0, 0], [0, 0]])
    cells = tf.reshape(cells, (height * dilation, width * dilation, *channels))
    return cells[: (height - 1) * dilation + 1, : (width - 1) * dilation + 1]


def _in_a_row(block, x, training=False):
    """Padding, convolution, norm and ReLU as separate stock layers with the block's weights."""
    border = block.size // 2
    border *= block.dilation
    x = tf.pad(x, [[0, 0], [border, border], [border, border], [0, 0]])
    groups = [tf.split(v, block.groups, axis=-1) for v in (x, tf.convert_to_tensor(block.kernel))]
    x = tf.concat(
        [
            tf.nn.conv2d(a, _spread(k, block.dilation), block.strides, "VALID")
            for a, k in zip(*groups, strict=True)
        ],
        -1,
    )
    if block.bias is not None:
        x += block.bias
    if block.norm is not None:
        x = block.norm(x, training=training)
    return tf.nn.relu(x) if block.relu else x


CASES = [
    {},
    {"norm": "frozen"},
    {"norm": "frozen_statistics", "strides": 2, "norm_epsilon": 1e-3},
    {"norm": "batch", "size": 1, "relu": False},
    {"norm": "group", "filters": 64},
    {"groups": 3, "strides": 2},
    {"groups": 3, "norm": "frozen"},
    {"size": 7, "strides": 2, "norm": "frozen", "relu": False},
    {"size": 1, "strides": 2},
    {"dilation": 2, "norm": "frozen"},
]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_value_and_gradient(case, training):
    block = ConvBlock(**{"filters": 9, "initializer": "glorot_normal", **case})
    x = tf.constant(_noise(2, 8, 11, 6))
    block.build(x.shape)
    _randomise(block)
    results = []
    calls = (lambda x: block(x, training=training), lambda x: _in_a_row(block, x, training))
    for function in calls:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
            loss = tf.reduce_sum(y * y)
        trained = [v.value for v in block.trainable_variables]
        results.append([y, *tape.gradient(loss, [x, *trained])])
    assert tuple(results[0][0].shape) == block.compute_output_shape(x.shape)
    for ours, theirs in zip(*results, strict=True):
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=3e-6 * scale)


@pytest.mark.parametrize("other", [{"strides": 2}, {"groups": 3}])
def test_dilation_stands_alone(other):
    with pytest.raises(ValueError, match=r"strides=1 and groups=1. Received: dilation=2"):
        ConvBlock(9, dilation=2, **other).build((None, 8, 8, 6))


def test_worked_by_hand():
    block = ConvBlock(1, 1, norm="frozen", norm_epsilon=1.0)
    block.build((None, None, None, 2))
    block.kernel.assign([[[[2.0], [3.0]]]])
    for name, value in zip(NORM, (4.0, 5.0, 6.0, 3.0), strict=True):
        getattr(block.norm, name).assign([value])
    # (2 x + 3 y - 6) * 4 / sqrt(3 + 1) + 5
    np.testing.assert_allclose(block(np.array([[[[1.0, 2.0], [1.0, -2.0]]]])), [[[[9.0], [0.0]]]])


def test_variables():
    for norm in ("frozen", "frozen_statistics", "batch"):
        block = ConvBlock(5, norm=norm)
        block.build((None, None, None, 6))
        root = block.name
        names = {v.path.removeprefix(f"{root}/") for v in block.weights}
        assert names == {"kernel", *(f"norm/{n}" for n in NORM)}  # the norm makes a bias idle
    assert [v.name for v in ConvBlock(5, norm="frozen", trainable=False).trainable_variables] == []


def test_trains_its_statistics_only_in_training():
    block = ConvBlock(3, norm="batch")
    x = 5 + _noise(2, 4, 4, 3)
    block(x)
    np.testing.assert_array_equal(block.norm.moving_mean, 0)
    y = block(x, training=True)
    np.testing.assert_allclose(y.numpy().mean(), 0.4, atol=0.1)  # of a normal variable's ReLU
    assert np.all(block.norm.moving_mean.numpy() != 0)


def test_frozen_block_keeps_its_statistics():
    block = ConvBlock(3, norm="batch", trainable=False)
    x = 5 + _noise(2, 4, 4, 3)
    np.testing.assert_array_equal(block(x, training=True), block(x))
    np.testing.assert_array_equal(block.norm.moving_mean, 0)


def test_bfloat16_rounds_the_folded_kernel_once():
    block = ConvBlock(4, 1, norm="frozen", relu=False, dtype="mixed_bfloat16")
    block.build((None, None, None, 1))
    block.kernel.assign([[[[1.0, 1.01, 3.0, 1e-3]]]])
    block.norm.gamma.assign([1.0, 1.01, 1 / 3, 1e3])
    y = block(np.ones((1, 1, 1, 1)))
    assert y.dtype == "bfloat16"
    scaled = np.float32([1.0, 1.01, 3.0, 1e-3]) * np.float32([1.0, 1.01, 1 / 3, 1e3])
    expected = tf.cast(scaled / np.sqrt(np.float32(1 + 1e-5)), tf.bfloat16)
    np.testing.assert_array_equal(tf.cast(y[0, 0, 0], "float32"), tf.cast(expected, "float32"))


def test_trains_in_a_graph_of_unknown_size():
    inputs = keras.Input((None, None, 4))
    model = keras.Model(inputs, ConvBlock(4, groups=2, strides=2, relu=False)(inputs))
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    x = _noise(2, 7, 9, 4)
    losses = [model.train_on_batch(x, np.ones((2, 4, 5, 4), "float32")) for _ in range(20)]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": 7}, "multiple of groups=2. Received: filters=7"),
        ({"filters": 8, "size": 4}, "odd. Received: size=4"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ConvBlock(groups=2, **arguments)


def test_bad_input():
    with pytest.raises(ValueError, match="channels must be a multiple of groups=2"):
        ConvBlock(8, groups=2).build((None, None, None, 5))


@pytest.mark.parametrize("norm", [None, "frozen", "batch"])
@pytest.mark.parametrize("training", [False, True])
def test_a_list_is_convolved_one_by_one(norm, training):
    block = ConvBlock(9, norm=norm)
    levels = [tf.constant(_noise(2, side, side + 1, 6, seed=side)) for side in (8, 4, 1)]
    block.build(levels[0].shape)
    _randomise(block)
    results = []
    for call in (
        lambda: block(levels, training=training),
        lambda: [block(x, training=training) for x in levels],
    ):
        with tf.GradientTape() as tape:
            y = call()
            loss = sum(tf.reduce_sum(v**2) for v in y)
        results.append([*y, *tape.gradient(loss, block.trainable_variables)])
    assert len(results[0]) == 3 + len(block.trainable_variables)
    for listed, single in zip(*results, strict=True):
        np.testing.assert_allclose(listed, single, rtol=1e-5, atol=1e-4)


def test_shapes_of_a_list():
    block = ConvBlock(9, strides=2)
    assert block.compute_output_shape([(2, 8, 9, 6), (2, None, 3, 6)]) == [
        (2, 4, 5, 9),
        (2, None, 2, 9),
    ]
