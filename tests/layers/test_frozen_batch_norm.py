"""FrozenBatchNormalization against hand-worked numbers and Keras' own layer."""

import keras
import numpy as np
import pytest

from keras_maskrcnn.layers.frozen_batch_norm import FrozenBatchNormalization


def _set(layer, gamma, beta, mean, variance):
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    layer.moving_mean.assign(mean)
    layer.moving_variance.assign(variance)


def test_worked_by_hand():
    layer = FrozenBatchNormalization(epsilon=1.0)
    layer.build((None, 2))
    _set(layer, [2.0, 3.0], [1.0, -1.0], [1.0, 0.0], [3.0, 8.0])
    # 2 (5 - 1) / sqrt(3 + 1) + 1 = 5;  3 * 6 / sqrt(8 + 1) - 1 = 5
    np.testing.assert_allclose(layer(np.array([[5.0, 6.0]], "float32")), [[5.0, 5.0]], rtol=1e-6)


def test_equals_inference_of_batch_normalization_in_training_too():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 4, 5)).astype("float32")
    ours, stock = FrozenBatchNormalization(1e-3), keras.layers.BatchNormalization(epsilon=1e-3)
    values = [*rng.normal(size=(3, 5)), rng.uniform(0.1, 3.0, 5)]
    for layer in (ours, stock):
        layer.build(x.shape)
        _set(layer, *values)
    expected = stock(x, training=False)
    for training in (False, True):
        np.testing.assert_allclose(ours(x, training=training), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(ours.moving_mean, np.float32(values[2]))


def test_what_trains():
    counts = {}
    for train_affine in (False, True):
        layer = FrozenBatchNormalization(train_affine=train_affine)
        layer.build((None, None, None, 4))
        layer.trainable = True  # unfreezing a backbone must not free the statistics
        counts[train_affine] = [w.name for w in layer.trainable_weights]
        assert len(layer.weights) == 4
    assert counts == {False: [], True: ["gamma", "beta"]}


def test_statistics_are_not_rounded_in_bfloat16():
    layer = FrozenBatchNormalization(dtype="mixed_bfloat16")
    layer.build((None, 1))
    # shift = 257 - 1 * 256: in bfloat16, 257 is 256.
    _set(layer, [256.0], [257.0], [1.0], [1.0 - 1e-5])
    y = layer(np.zeros((1, 1), "float32"))
    assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"
    np.testing.assert_array_equal(keras.ops.cast(y, "float32"), [[1.0]])


def test_unknown_channels_are_refused():
    with pytest.raises(ValueError, match=r"known size. Received: input_shape=\(None, None\)"):
        FrozenBatchNormalization().build((None, None))


def test_round_trip(tmp_path):
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, FrozenBatchNormalization(1e-3, train_affine=True)(inputs))
    model.layers[1].beta.assign([1.0, 2.0, 3.0])
    model.save(tmp_path / "m.keras")
    layer = keras.saving.load_model(tmp_path / "m.keras").layers[1]
    assert layer.get_config() == model.layers[1].get_config()
    assert (layer.epsilon, layer.train_affine) == (1e-3, True)
    np.testing.assert_array_equal(layer.beta, [1.0, 2.0, 3.0])
