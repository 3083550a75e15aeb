"""Averaged weights, patience, and both in a run that is killed again and again."""

import keras
import numpy as np
import pytest
from saved_arrays import saved_arrays

from keras_maskrcnn.evaluation import CocoEvaluation, callback
from keras_maskrcnn.training import RunCheckpoint, RunFolder, TrainingOptions, TrainingState
from keras_maskrcnn.training import make_optimizer as make
from keras_maskrcnn.training.averages import WeightAverages

MONITOR = "val_mask_ap"
X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = np.random.default_rng(1).normal(size=(8, 2)).astype("float32")
EPOCHS = 8


@pytest.fixture
def judged(monkeypatch):
    """What was evaluated: kernels. The scores are those of `scores`, in order, or all different."""
    kernels, scores = [], []

    def evaluate(model, data, **options):
        kernels.append(model.get_weights()[0].copy())
        score = scores.pop(0) if scores else float(np.abs(kernels[-1]).sum() % 1)
        return {"mask_ap": score}

    monkeypatch.setattr(callback, "evaluate_coco", evaluate)
    return kernels, scores


def train(folder, stop_after=EPOCHS, every=1, **options):
    """As `train_model` does, with a model of one layer; `stop_after`: killed then."""
    keras.utils.set_random_seed(0)
    options = TrainingOptions(epochs=EPOCHS, batch_size=2, learning_rate=0.1, **options)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    model.compile(make(options, 4 * EPOCHS), "mse")
    model.optimizer.build(model.trainable_variables)
    averages = None
    if options.ema is not None:
        averages = WeightAverages(model, model.trainable_variables)
    run = RunFolder(folder)
    state = run.state() or TrainingState(pictures=len(X))
    if state.epochs_done:
        run.restore(model, state, MONITOR, averages)
    if state.is_over(options.epochs):
        return state
    evaluation = CocoEvaluation(None, every=every)
    checkpoint = RunCheckpoint(
        run, state, MONITOR, evaluation, averages=averages, patience=options.patience
    )
    raw = []

    class Kill(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raw.append(self.model.get_weights()[0])
            if epoch + 1 == stop_after:
                raise SystemExit

    order = [evaluation, *([averages] if averages else []), checkpoint]
    order += [Kill()] if stop_after < EPOCHS else []
    model.fit(
        *(X, Y),
        batch_size=2,
        shuffle=False,
        validation_data=(X, Y),
        epochs=EPOCHS,
        initial_epoch=state.epochs_done,
        verbose=0,
        callbacks=order,
    )
    return checkpoint.state


def average_of_one_run(momentum):
    """Kernel and average of kernels after each epoch, by another way: NumPy over every update."""
    rows = []

    class Follow(keras.callbacks.Callback):
        average = None

        def on_train_batch_end(self, batch, logs=None):
            kernel = self.model.get_weights()[0].astype("float64")
            first = self.average is None
            self.average = kernel if first else momentum * self.average + (1 - momentum) * kernel

        def on_epoch_end(self, epoch, logs=None):
            rows.append((self.model.get_weights()[0], self.average))

    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    options = TrainingOptions(epochs=EPOCHS, batch_size=2, learning_rate=0.1)
    model.compile(make(options, 4 * EPOCHS), "mse")
    model.fit(X, Y, batch_size=2, shuffle=False, epochs=EPOCHS, verbose=0, callbacks=[Follow()])
    return rows


def contents(folder):
    history = (folder / "history.csv").read_text()
    return history, *(saved_arrays(folder / f"{model}.keras") for model in ("best", "last"))


def kernel_of(path):
    return keras.saving.load_model(path, compile=False).get_weights()[0]


def test_averages_are_judged_and_kept_and_the_weights_go_on(tmp_path, judged):
    kernels, scores = judged
    scores += [0.1, 0.2, 0.9, 0.3, 0.3, 0.3, 0.3, 0.3]
    train(tmp_path, ema=0.8)
    rows = average_of_one_run(0.8)
    for kernel, (weights, average) in zip(kernels, rows, strict=True):
        np.testing.assert_allclose(kernel, average, rtol=1e-5, atol=1e-6)
        assert np.abs(kernel - weights).max() > 1e-3
    np.testing.assert_array_equal(kernel_of(tmp_path / "best.keras"), kernels[2])
    np.testing.assert_allclose(kernel_of(tmp_path / "last.keras"), rows[-1][0], rtol=1e-6)


@pytest.mark.parametrize("options", [{"ema": 0.8}, {"ema": 0.8, "accumulate": 3}, {"patience": 3}])
def test_killed_again_and_again_it_comes_to_the_same(tmp_path, judged, options):
    whole = train(tmp_path / "whole", every=2, **options)
    for epoch in (1, 3):
        with pytest.raises(SystemExit):
            train(tmp_path / "killed", stop_after=epoch, every=2, **options)
    assert train(tmp_path / "killed", every=2, **options) == whole
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_patience_counts_evaluations(tmp_path, judged):
    _, scores = judged
    # Evaluated after epochs 1, 2, 4, 6 and 8; the best is that of the second.
    scores += [0.1, 0.5, 0.4, 0.5, 0.9]
    state = train(tmp_path / "two", every=2, patience=2)
    assert (state.epochs_done, state.stale, state.ended) == (6, 2, True)
    # It stays ended.
    assert train(tmp_path / "two", every=2, patience=2) == state
    scores[:] = [0.1, 0.5, 0.4, 0.5, 0.9]
    state = train(tmp_path / "three", every=2, patience=3)
    assert (state.epochs_done, state.stale, state.ended) == (8, 0, False)


def test_patience_is_kept_over_a_kill(tmp_path, judged):
    _, scores = judged
    scores += [0.5, 0.4, 0.4]
    with pytest.raises(SystemExit):
        train(tmp_path, stop_after=3, patience=3)
    scores[:] = [0.4, 0.9]
    state = train(tmp_path, patience=3)
    assert (state.epochs_done, state.stale, state.ended) == (4, 3, True)
