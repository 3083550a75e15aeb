"""Training through Keras' own machinery: callbacks, interruptions, other ways to run a step."""

import csv
import itertools
import signal
from collections import defaultdict

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import (
    LOSSES,
    batch,
    get_state,
    make_data,
    run_python,
    set_state,
    tiny_model,
    to_dataset,
)
from tensorflow.python.eager import context  # No public name gives the optimized graphs.

from keras_maskrcnn.evaluation import CocoEvaluation, callback
from keras_maskrcnn.evaluation.coco import CocoMetrics

SIZE = {"min_size": 64, "max_size": 96}


def batches():
    return to_dataset([batch(2, seed=seed) for seed in range(4)])


KILLED_RUN = """
import os, signal, sys
import keras
from helpers import batch, tiny_model, to_dataset

class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (1, 2):
            os.kill(os.getpid(), signal.SIGKILL)

model = tiny_model()
model.compile(keras.optimizers.Adam(2e-3))
folder = sys.argv[1]
model.fit(
    to_dataset([batch(2, seed=seed) for seed in range(4)]),
    epochs=3,
    verbose=0,
    callbacks=[
        keras.callbacks.CSVLogger(folder + "/log.csv"),
        keras.callbacks.BackupAndRestore(folder + "/by_epoch"),
        keras.callbacks.BackupAndRestore(folder + "/by_step", save_freq=1),
        Kill(),
    ],
)
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The folder of a run that dies in the second of three epochs, while other tests go on here;
    the call waits for its death."""
    folder = tmp_path_factory.mktemp("killed")
    process = run_python(KILLED_RUN, folder, wait=False)

    def wait():
        output = process.communicate()[0] if process.returncode is None else ""
        assert process.returncode == -signal.SIGKILL, output
        return folder

    yield wait
    process.kill()


@pytest.fixture(scope="module")
def scratch():
    """A model to compile in other ways; the same weights as the shared one's at the start."""
    model = tiny_model()
    initial = [v.numpy() for v in model.variables]

    def compiled(optimizer, **options):
        for variable, value in zip(model.variables, initial, strict=True):
            variable.assign(value)
        model.compile(optimizer, **options)
        return model

    return compiled


def test_same_seed_same_losses(fresh, shared_model, killed):
    first = fresh.fit(batches(), epochs=2, verbose=0).history
    set_state(fresh, shared_model[1])
    second = fresh.fit(batches(), epochs=2, verbose=0).history
    assert set(first) == {"loss", *LOSSES}
    assert first["class_loss"][0] != first["class_loss"][1]
    for name, values in first.items():
        assert second[name] == values, name


@pytest.mark.slow  # A traced step with its partition graphs.
def test_no_gradient_is_summed_as_its_parts_come(fresh):
    """Such a sum depends on the threads' schedule, which busy cores show now and then only."""
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})
    context.enable_graph_collection()
    try:
        tf.function(fresh.train_step)(next(iter(batches())))
        graphs = context.context().export_run_metadata().partition_graphs
    finally:
        context.disable_graph_collection()
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    nodes = [node for graph in graphs for node in graph.node]
    assert any("Conv2DBackpropFilter" in node.op for node in nodes)
    # What TensorFlow's graph optimizer makes of a long sum; see `ops.fan_out`.
    assert [node.name for node in nodes if node.op == "TemporaryVariable"] == []


DETERMINISTIC_RUN = """
import keras, tensorflow as tf
from helpers import batch, tiny_model, to_dataset

tf.config.experimental.enable_op_determinism()
model = tiny_model()
model.compile(keras.optimizers.Adam(2e-3))
data = to_dataset([batch(2, seed=seed) for seed in range(4)])
history = model.fit(data, epochs=3, verbose=0).history
print("losses", {name: [value.hex() for value in values] for name, values in history.items()})
"""


@pytest.mark.slow  # Two processes.
def test_same_seed_same_bits_under_op_determinism():
    processes = [run_python(DETERMINISTIC_RUN, wait=False) for _ in range(2)]
    printed = []
    for process in processes:
        output = process.communicate()[0]
        assert process.returncode == 0, output
        printed.append([line for line in output.splitlines() if line.startswith("losses")])
    assert len(printed[0]) == 1
    assert printed[0] == printed[1]


def test_a_killed_run_goes_on(fresh, shared_model, killed):
    history = fresh.fit(batches(), epochs=3, verbose=0).history
    folder = killed()
    with (folder / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    # One epoch was finished, with the losses of another process from the same seed.
    assert [row["epoch"] for row in rows] == ["0"]
    for name in LOSSES:
        assert float(rows[0][name]) == pytest.approx(history[name][0], rel=1e-4), name

    set_state(fresh, shared_model[1])  # As a new process would build it.
    backup = keras.callbacks.BackupAndRestore(folder / "by_epoch")
    resumed = fresh.fit(batches(), epochs=3, verbose=0, callbacks=[backup])
    assert resumed.epoch == [1, 2]
    # Weights, optimizer and samplers stand where the first epoch left them.
    for name, values in resumed.history.items():
        np.testing.assert_allclose(values, history[name][1:], rtol=1e-3, atol=1e-5, err_msg=name)
    assert int(fresh.optimizer.iterations) == 12
    assert not (folder / "by_epoch").exists()


def test_a_killed_run_goes_on_from_the_step(fresh, killed):
    start = []
    backup = keras.callbacks.BackupAndRestore(killed() / "by_step", save_freq=1)
    watch = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: start.append(int(fresh.optimizer.iterations))
    )
    resumed = fresh.fit(batches(), epochs=3, verbose=0, callbacks=[backup, watch])
    # Four steps and three of the second epoch were saved; Keras repeats that epoch's pictures.
    assert start == [7, 11]
    assert resumed.epoch == [1, 2]
    assert all(np.all(np.isfinite(v)) for v in resumed.history.values())


def test_stock_callbacks(fresh, pictures, tmp_path, monkeypatch):
    values = iter([0.2, 0.5, 0.4, 0.3, 0.9])
    real = []

    def evaluate(model, data, **options):
        if not real:
            real.append(callback_evaluate(model, data, **options))
        return CocoMetrics({**real[0], "mask_ap": next(values)}, {})

    callback_evaluate = callback.evaluate_coco
    monkeypatch.setattr(callback, "evaluate_coco", evaluate)
    stop = keras.callbacks.EarlyStopping("val_mask_ap", mode="max", patience=2)
    best = tmp_path / "best.weights.h5"
    history = fresh.fit(
        pictures.batches(2, **SIZE),
        validation_data=pictures.batches(2, **SIZE),
        epochs=5,
        verbose=0,
        callbacks=[
            # Those that monitor stand before what they monitor: `fit` puts them in order.
            stop,
            keras.callbacks.ModelCheckpoint(
                best, "val_mask_ap", mode="max", save_best_only=True, save_weights_only=True
            ),
            keras.callbacks.CSVLogger(tmp_path / "log.csv"),
            CocoEvaluation(pictures, batch_size=2),
        ],
    )
    names = {"loss", *LOSSES}
    assert history.epoch == [0, 1, 2, 3]
    assert history.history["val_mask_ap"] == [0.2, 0.5, 0.4, 0.3]
    assert names | {f"val_{name}" for name in names} <= set(history.history)
    assert {"val_box_ap", "val_box_ap50", "val_mask_ap75"} <= set(history.history)
    assert set(real[0]) >= {"box_ap", "mask_ap", "mask_ap50"}
    assert stop.best == 0.5 and stop.best_epoch == 1

    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert set(rows[0]) == {"epoch", *history.history}
    for name, column in history.history.items():
        # No object of middle size: nan.
        assert [float(row[name]) for row in rows] == pytest.approx(column, nan_ok=True), name

    # The best epoch's weights are those in the file.
    last = fresh.get_weights()
    fresh.load_weights(best)
    assert any(np.any(a != b) for a, b in zip(fresh.get_weights(), last, strict=True))
    assert int(fresh.optimizer.iterations) == 4  # Two steps an epoch.


def test_tensorboard_shows_every_loss(fresh, pictures, tmp_path):
    pytest.importorskip("tensorboard")
    data = pictures.batches(4, **SIZE)
    board = keras.callbacks.TensorBoard(tmp_path)
    evaluation = CocoEvaluation(pictures, batch_size=4)
    fresh.fit(data, validation_data=data, verbose=0, callbacks=[board, evaluation])
    tags = defaultdict(set)
    for file in tmp_path.rglob("events*"):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            tags[file.parent.name].update(value.tag for value in event.summary.value)
    names = {f"epoch_{name}" for name in ("loss", *LOSSES)}
    assert names <= tags["train"]
    assert names | {"epoch_mask_ap", "epoch_box_ap"} <= tags["validation"]


def test_evaluate_names_its_losses(fresh, pictures):
    data = pictures.batches(2, **SIZE)
    results = fresh.evaluate(data, verbose=0, return_dict=True)
    assert set(results) == {"loss", *LOSSES}
    assert results["loss"] == pytest.approx(sum(results[name] for name in LOSSES), rel=1e-5)
    before = [v.numpy() for v in fresh.trainable_variables]
    fresh.evaluate(data, verbose=0)
    for variable, value in zip(fresh.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.slow
def test_eager_step_equals_the_compiled_one(fresh, scratch):
    compiled = fresh.fit(to_dataset([batch()] * 2), verbose=0).history
    eager = scratch(keras.optimizers.Adam(2e-3), run_eagerly=True)
    losses = eager.fit(to_dataset([batch()] * 2), verbose=0).history
    for name, value in compiled.items():
        np.testing.assert_allclose(losses[name], value, rtol=1e-2, atol=1e-3, err_msg=name)


def test_gradient_accumulation(scratch):
    model = scratch(keras.optimizers.SGD(0.01, gradient_accumulation_steps=2), run_eagerly=True)
    kernel = model.network.box.head.class_logits.kernel
    values = [kernel.numpy()]
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: values.append(kernel.numpy())
    )
    model.fit(to_dataset([batch()] * 4), verbose=0, callbacks=[watch])
    changed = [bool(np.any(a != b)) for a, b in itertools.pairwise(values)]
    assert changed == [False, True, False, True]


def test_losses_count_as_they_are_weighted(scratch):
    model = scratch(keras.optimizers.SGD(0.0), run_eagerly=True)
    state = get_state(model)
    plain = model.evaluate(to_dataset([batch()]), verbose=0, return_dict=True)
    set_state(model, state)
    weights = {"mask_loss": 3.0, "box_loss": 0.0}
    model.compile(keras.optimizers.SGD(0.0), loss_weights=weights, run_eagerly=True)
    weighted = model.evaluate(to_dataset([batch()]), verbose=0, return_dict=True)
    expected = plain["loss"] + 2 * plain["mask_loss"] - plain["box_loss"]
    assert weighted["loss"] == pytest.approx(expected, rel=1e-5)
    assert {k: weighted[k] for k in LOSSES} == pytest.approx({k: plain[k] for k in LOSSES})
    assert model.get_compile_config()["loss_weights"] == weights
    with pytest.raises(ValueError, match="Did you mean 'mask_loss'.* Received: masks_loss"):
        model.compile(loss_weights={"masks_loss": 1.0})


def test_parts_train_one_after_the_other(scratch):
    """Losses of weight 0 move nothing that only they reach."""
    model = scratch(keras.optimizers.SGD(0.01), run_eagerly=True)
    own = ("class_loss", "box_loss", "mask_loss", "regularization_loss")
    rpn = ("rpn_class_loss", "rpn_box_loss", "regularization_loss")
    parts = {"rpn": model.network.rpn.head, "box": model.network.box.head}
    for silent, moved in ((own, {"rpn"}), (rpn, {"box"})):
        model.compile(
            keras.optimizers.SGD(0.01), loss_weights=dict.fromkeys(silent, 0.0), run_eagerly=True
        )
        before = {name: part.get_weights() for name, part in parts.items()}
        model.fit(to_dataset([batch()]), verbose=0)
        changed = {
            name
            for name, part in parts.items()
            if any(np.any(a != b) for a, b in zip(part.get_weights(), before[name], strict=True))
        }
        assert changed == moved


def test_frozen_backbone_stays(scratch):
    model = scratch(keras.optimizers.SGD(0.01), run_eagerly=True)
    everything = model.evaluate(to_dataset([batch()]), verbose=0, return_dict=True)
    backbone = model.network.backbone
    backbone.trainable = False
    try:
        model.compile(keras.optimizers.SGD(0.01), run_eagerly=True)
        assert not any("res" in v.path.split("/")[0] for v in model.trainable_variables)
        kept = [w.copy() for w in backbone.get_weights()]
        head = model.network.box.head.class_logits.kernel.numpy()
        history = model.fit(to_dataset([batch()] * 2), verbose=0).history
        for a, b in zip(backbone.get_weights(), kept, strict=True):
            np.testing.assert_array_equal(a, b)  # Statistics included.
        assert np.any(model.network.box.head.class_logits.kernel.numpy() != head)
        assert history["regularization_loss"][0] < 0.5 * everything["regularization_loss"]
    finally:
        backbone.trainable = True


@pytest.mark.slow  # One more trace.
def test_two_steps_per_execution(fresh, scratch):
    one = fresh.fit(batches(), epochs=1, verbose=0).history
    model = scratch(keras.optimizers.Adam(2e-3), steps_per_execution=2)
    assert model.jit_compile is False  # "auto": lists of unknown length are nothing for XLA.
    steps = []
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda s, logs: steps.append(s))
    two = model.fit(batches(), epochs=1, verbose=0, callbacks=[watch]).history
    assert steps == [1, 3]
    for name in LOSSES:
        assert np.isfinite(two[name][0])
    assert two["regularization_loss"][0] == pytest.approx(one["regularization_loss"][0], rel=1e-3)
    assert int(model.optimizer.iterations) == 4


def test_the_step_is_traced_once(scratch, monkeypatch):
    model = scratch(keras.optimizers.Adam(2e-3))
    traced = []
    call = type(model).call
    monkeypatch.setattr(
        type(model), "call", lambda self, *args, **kw: traced.append(1) or call(self, *args, **kw)
    )
    model.fit(to_dataset([batch()]), verbose=0)
    assert len(traced) == 1  # Twice, where the optimizer makes its variables in the step.


def test_truncated_picture_is_named(fresh, tmp_path):
    data = make_data(tmp_path, [(64, 96), (64, 96)], file_type="jpg")
    path = tmp_path / "1.jpg"
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(Exception, match=r"(?s)Image id 101.*1\.jpg"):
        fresh.fit(data.batches(1, **SIZE), verbose=0)
