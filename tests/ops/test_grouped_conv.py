"""Grouped convolution and its gradient against one dense convolution per group."""

import numpy as np
import pytest
import tensorflow as tf
from helpers import run_python

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


WITH_BIAS = """
import os
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"  # As TensorFlow decides itself on some CPUs.
import numpy as np
import tensorflow as tf
from keras_maskrcnn.ops.grouped_conv import grouped_conv2d

x, kernel, bias = tf.random.normal((1, 9, 9, 8)), tf.random.normal((3, 3, 2, 8)), tf.range(8.0)
function = lambda x: tf.nn.relu(tf.nn.bias_add(grouped_conv2d(x, kernel, groups=4), bias))
np.testing.assert_allclose(tf.function(function)(x), function(x), atol=1e-5)
print("equal")
"""


def test_a_bias_after_it_on_a_cpu_without_onednn():
    assert "equal" in run_python(WITH_BIAS)
