"""A search for a learning rate, where the best one is known."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_maskrcnn.training.rate_finder import judge, search

# (w - 1)^2 x^2 with x^2 = 8: the gradient's slope is 16, so that steps of a rate above 2 / 16 lead
# away, and those of 1 / 16 into the minimum.
SLOPE = 16.0


def linear(optimizer="sgd"):
    inputs = keras.Input((1,))
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    return keras.Model(inputs, dense(inputs))


def batches(count):
    x = np.full((count, 1), np.sqrt(SLOPE / 2), "float32")
    # Half of the pictures have noise in what is to be learned.
    noise = np.where(np.arange(count) % 2, 0.1, -0.1).astype("float32")[:, None]
    return tf.data.Dataset.from_tensor_slices((x, x + noise)).batch(1)


def test_the_edge_of_stability_is_found():
    model = linear()
    found = search(
        model,
        batches(40),
        lambda: model.compile(keras.optimizers.SGD(1e-5), "mse"),
        lowest=1e-4,
        highest=100.0,
        updates=120,
    )
    # It ends when the loss explodes, far below the highest rate.
    assert 2 / SLOPE < found.rates[-1] < 5
    np.testing.assert_allclose(found.rates, np.geomspace(1e-4, 100, 120)[: len(found.rates)])
    # From 2 / 16 on an error grows, and it takes some steps to be more than noise.
    assert 2 / SLOPE < 10 * found.suggestion < 4 / SLOPE
    assert model.get_weights()[0].item() == 0.0


def test_losses_are_those_of_each_batch_by_hand():
    model = linear()
    found = search(
        model,
        batches(4),
        lambda: model.compile(keras.optimizers.SGD(1.0), "mse"),
        lowest=0.001,
        highest=0.004,
        updates=3,
    )
    assert found.rates == pytest.approx([0.001, 0.002, 0.004])
    weight, x, losses = 0.0, np.sqrt(SLOPE / 2), []
    for rate, noise in zip(found.rates, (-0.1, 0.1, -0.1), strict=True):
        losses.append((weight * x - x - noise) ** 2)
        weight -= rate * 2 * x * (weight * x - x - noise)
    assert found.losses == pytest.approx(losses, rel=1e-5)


def test_batches_of_an_update_have_one_rate_and_one_loss():
    model = linear()

    def start():
        model.compile(keras.optimizers.SGD(1.0, gradient_accumulation_steps=2), "mse")

    found = search(model, batches(4), start, 0.001, 0.004, 3, accumulate=2)
    weight, x, losses = 0.0, np.sqrt(SLOPE / 2), []
    for rate in found.rates:
        residuals = [weight * x - x - noise for noise in (-0.1, 0.1)]
        losses.append(np.mean(np.square(residuals)))
        weight -= rate * np.mean([2 * x * r for r in residuals])
    assert found.losses == pytest.approx(losses, rel=1e-5)


def test_the_weight_penalty_is_not_looked_at():
    class Penalised(keras.Model):
        """Says a penalty that falls, whatever the loss does."""

        def train_step(self, data):
            logs = super().train_step(data)
            penalty = 1000.0 / tf.cast(self.optimizer.iterations, "float32")
            return {**logs, "loss": logs["loss"] + penalty, "regularization_loss": penalty}

    plain, inputs = linear(), keras.Input((1,))
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    penalised = Penalised(inputs, dense(inputs))
    found = [
        search(
            *(model, batches(4)),
            lambda model=model: model.compile(keras.optimizers.SGD(1.0), "mse"),
            *(0.001, 0.01, 8),
        )
        for model in (plain, penalised)
    ]
    assert found[1].losses == pytest.approx(found[0].losses, rel=1e-3)


@pytest.mark.parametrize("highest", [0.1, 100.0])
def test_a_bar_moves_and_a_file_gets_one_line(highest, capsys):
    def start():
        model.compile(keras.optimizers.SGD(1.0), "mse")

    model = linear()
    lines = []
    for verbose in (0, 2, 1):
        found = search(model, batches(30), start, 1e-4, highest, 90, verbose=verbose)
        lines.append(capsys.readouterr().out)
    silent, file, terminal = lines
    tried, loss, rate = len(found.rates), found.losses[-1], found.rates[-1]
    assert silent == ""
    assert file.startswith(f"{tried}/90 - ") and file.count("\n") == 1 and "\b" not in file
    words = dict(word.split(": ") for word in file.strip().split(" - ") if ": " in word)
    assert {k: float(v) for k, v in words.items()} == {
        "learning_rate": pytest.approx(rate, abs=1e-4),
        "loss": pytest.approx(loss, abs=1e-4),
    }
    assert (tried == 90) == (highest == 0.1)  # The other explodes.
    assert terminal.count("\r") > 1 and terminal.count("\n") == 1 and f"{tried}/90" in terminal
    assert "s/update - learning_rate: " in terminal


def test_rule_and_words():
    rates = np.geomspace(1e-4, 1, 41)
    falls = 3 - np.minimum(np.arange(41), 30) / 15 + np.maximum(np.arange(41) - 30, 0)
    found = judge(rates, list(falls))
    assert found.suggestion == pytest.approx(0.1 * rates[30])
    assert "(a tenth of the highest rate before the smoothed loss rose from its lowest)" in str(
        found
    )
    # One lucky batch is no lowest loss.
    lucky = falls.copy()
    lucky[5] = 0.0
    assert judge(rates, list(lucky)).suggestion == found.suggestion
    assert str(judge(rates[:31], list(falls[:31]))).endswith("which it did at none that was tried)")
    rises = judge(rates, list(np.arange(41.0)))
    assert rises.suggestion is None and "did not fall" in str(rises)


@pytest.mark.parametrize("wrong", [(0.0, 1.0, 10), (1.0, 0.1, 10), (0.1, 1.0, 1)])
def test_ranges(wrong):
    with pytest.raises(ValueError, match=r"Expected 0 < lowest < highest"):
        search(linear(), batches(2), lambda: None, *wrong)
