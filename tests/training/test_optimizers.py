"""Updates by hand: batches whose gradients are averaged, and averages of weights."""

import keras
import numpy as np
import pytest

from keras_maskrcnn.training import TrainingOptions, make_optimizer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3)).astype("float32")
Y = RNG.normal(size=(24, 2)).astype("float32")


def fitted(batch_size, callbacks=(), **options):
    """Weights after one pass over 24 rows by a model whose loss is a mean over the rows."""
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2, kernel_initializer="ones")(inputs))
    options = TrainingOptions(batch_size=batch_size, **options)
    model.compile(make_optimizer(options, 24 // batch_size), "mse")
    model.fit(X, Y, batch_size=batch_size, shuffle=False, verbose=0, callbacks=list(callbacks))
    return model.get_weights()


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("clip_norm", [10.0, 0.5])
def test_two_batches_of_one_make_the_update_of_a_batch_of_two(optimizer, clip_norm):
    """The same rate by default, the same warm-up and decay, the norm of the mean is clipped."""
    options = {"optimizer": optimizer, "clip_norm": clip_norm, "schedule": "cosine"}
    whole = fitted(2, warmup_steps=4, **options)
    parts = fitted(1, accumulate=2, warmup_steps=4, **options)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    other_rate = fitted(1, accumulate=2, warmup_steps=4, learning_rate=0.01, **options)
    assert np.abs(other_rate[0] - whole[0]).max() > 1e-3


def test_rates_count_updates():
    options = TrainingOptions(batch_size=2, accumulate=4, warmup_steps=2, schedule="step")
    rate = make_optimizer(options, total_steps=40)._learning_rate
    assert (rate.total_steps, rate.warmup_steps) == (10, 2)
    assert rate.learning_rate == pytest.approx(0.02 * 8 / 16)
    # Two updates of warm-up, four batches each; a tenth from the seventh of ten updates on.
    shares = [float(rate(step)) / 0.01 for step in (0, 3, 4, 7, 8, 27, 28)]
    assert shares == pytest.approx([0.001, 0.001, 0.5005, 0.5005, 1, 1, 0.1])


class Keep(keras.callbacks.Callback):
    """After each batch the weight, and its average."""

    def __init__(self):
        super().__init__()
        self.rows = []

    def on_train_batch_end(self, batch, logs=None):
        average = next(v for v in self.model.optimizer.variables if v.name.endswith("average"))
        kernel = self.model.trainable_variables[0]
        self.rows.append((kernel.numpy().item(), average.numpy().item()))


@pytest.mark.parametrize("accumulate", [1, 3])
def test_averages_of_weights_by_hand(accumulate):
    inputs = keras.Input((1,))
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    model = keras.Model(inputs, dense(inputs))
    rate = {"learning_rate": 0.1, "schedule": "constant", "warmup_steps": 0}
    options = TrainingOptions(batch_size=1, accumulate=accumulate, ema=0.75, **rate)
    # A gradient of 1, whatever the weight is.
    model.compile(make_optimizer(options, 12), lambda y, pred: pred)
    keep = Keep()
    model.fit(np.ones((12, 1)), np.ones((12, 1)), batch_size=1, verbose=0, callbacks=[keep])
    weights, velocity, weight = [], 0.0, 0.0
    for _ in range(12 // accumulate):
        velocity = 0.9 * velocity - 0.1
        weight += velocity
        weights.append(weight)
    assert [row[0] for row in keep.rows[accumulate - 1 :: accumulate]] == pytest.approx(weights)
    # When an update comes, the average has taken the one before in.
    averages = [weights[0]]
    for weight in weights[1:]:
        averages.append(0.75 * averages[-1] + 0.25 * weight)
    places = slice(accumulate - 1 + accumulate - 1, None, accumulate)
    found = [row[1] for row in keep.rows[places]]
    assert found == pytest.approx(averages[: len(found)], rel=1e-5)
    assert len(found) == len(weights) - (accumulate > 1)
    # In the end the model has the average.
    assert model.get_weights()[0].item() == pytest.approx(keep.rows[-1][1])
