"""A copy without the optimizer: half or a third of the file, the same model."""

import keras
import numpy as np

from keras_maskrcnn.training.weights_only import copy_without_optimizer


def test_the_model_is_the_same_and_the_optimizer_is_gone(tmp_path):
    keras.utils.set_random_seed(0)
    inputs = np.random.default_rng(0).random((8, 64), np.float32)
    model = keras.Sequential([keras.layers.Dense(300), keras.layers.BatchNormalization()])
    model.compile("adam", "mse")
    model.fit(inputs, np.zeros((8, 300)), verbose=0)
    whole, part = tmp_path / "whole.keras", tmp_path / "part.keras"
    model.save(whole)
    copy_without_optimizer(whole, part)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part.keras", "whole.keras"]
    # Adam keeps two numbers for each weight.
    assert part.stat().st_size < 0.45 * whole.stat().st_size
    copied = keras.saving.load_model(part)
    assert not copied.compiled
    np.testing.assert_array_equal(copied.predict(inputs), model.predict(inputs))
    copied.compile("adam", "mse")
    copied.fit(inputs, np.zeros((8, 300)), verbose=0)
    assert int(copied.optimizer.iterations) == 1
