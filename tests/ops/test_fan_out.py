"""fan_out: gradients of many readers, added in one order."""

import numpy as np
import tensorflow as tf

from keras_maskrcnn.ops.fan_out import fan_out


def test_value_and_gradient():
    x = tf.constant([1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        copies = fan_out(x, 3)
        y = sum(scale * tf.reduce_sum(v) for scale, v in zip((1, 10, 100), copies, strict=True))
    assert [copy.numpy().tolist() for copy in copies] == [[1, 2]] * 3
    np.testing.assert_array_equal(tape.gradient(y, x), [111, 111])


def test_no_gradient_from_readers_that_do_not_count():
    x = tf.constant([1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = fan_out(x, 3)[1] ** 2
    np.testing.assert_array_equal(tape.gradient(y, x), [2, 4])
