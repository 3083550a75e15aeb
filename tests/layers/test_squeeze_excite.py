"""SqueezeExcite worked by hand, in half precision, and frozen."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_maskrcnn.layers.squeeze_excite import SqueezeExcite


def test_worked_by_hand():
    layer = SqueezeExcite(1)
    layer.build((None, 2, 2, 2))
    for variable, value in (
        (layer.reduce.kernel, [[[[2.0], [1.0]]]]),
        (layer.reduce.bias, [-5.0]),
        (layer.expand.kernel, [[[[1.0, 0.5]]]]),
        (layer.expand.bias, [0.0, -1.0]),
    ):
        variable.assign(value)
    x = np.zeros((2, 2, 2, 2), "float32")
    x[0, :, :, 0] = [[1, 2], [3, 6]]  # Mean 3.
    x[0, 1, 0, 1] = 4  # Mean 1.
    x[1] = 1
    # First picture: 2 * 3 + 1 - 5 = 2, so 2 and 0. Second: 2 + 1 - 5 < 0, so 0 and -1.
    weights = 1 / (1 + np.exp(-np.array([[2.0, 0.0], [0.0, -1.0]])))
    np.testing.assert_allclose(layer(x), x * weights[:, None, None], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_means_of_large_maps_in_half_precision(dtype):
    """Of 102400 cells: bfloat16 stops to count at 256, float16 ends at 65504."""
    keras.utils.set_random_seed(0)
    full, half = SqueezeExcite(8), SqueezeExcite(8, dtype=dtype)
    x = np.random.default_rng(0).uniform(0.5, 1.5, (1, 320, 320, 4)).astype("float32")
    expected = full(x)
    half.build(x.shape)
    half.set_weights(full.get_weights())
    found = half(x)
    assert keras.backend.standardize_dtype(found.dtype) == dtype.removeprefix("mixed_")
    found = ops.convert_to_numpy(ops.cast(found, "float32"))
    np.testing.assert_allclose(found, expected, rtol=0.03)


def test_frozen_it_has_nothing_to_train():
    assert len(SqueezeExcite(2)(np.ones((1, 2, 2, 4))).shape) == 4
    for trainable, count in ((True, 4), (False, 0)):
        layer = SqueezeExcite(2, trainable=trainable)
        layer.build((None, 2, 2, 4))
        assert sum(weight.trainable for weight in layer.weights) == count
        assert len(layer.weights) == 4
