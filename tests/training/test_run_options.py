"""Runs with all that a run can have, from the outside."""

import json

import pytest
import tensorflow as tf
from helpers import make_data, tiny_model
from saved_arrays import saved_arrays

from keras_maskrcnn import load_model
from keras_maskrcnn.training import RunFolder, TrainingOptions, find_learning_rate, train_model

SIZES = {"min_size": 64, "max_size": 96, "learning_rate": 0.01, "batch_size": 1}
ALL = TrainingOptions(
    epochs=3,
    accumulate=2,
    ema=0.9,
    freeze="backbone",
    freeze_epochs=2,
    monitor="box_ap50",
    tensorboard=True,
    patience=3,
    **SIZES,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("pictures"), [(64, 96)] * 3)


def tags(folder):
    """Steps by tag of all that TensorBoard would show."""
    found = {}
    for file in sorted(folder.rglob("events.*")):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                found.setdefault(f"{file.parent.name}/{value.tag}", []).append(event.step)
    return found


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    model = tiny_model()
    history = train_model(model, data, data, folder, ALL)
    return folder, model, history


@pytest.mark.slow  # A run of three epochs, and all but all of others.
@pytest.mark.parametrize("epoch", [2, 3])  # While the backbone is frozen, and after.
def test_killed_in_an_epoch_it_comes_to_the_same(whole, data, tmp_path, monkeypatch, epoch):
    folder, _, history = whole
    save = RunFolder.save

    def kill(self, model, state, *rest):
        if state.epochs_done == epoch:
            raise KeyboardInterrupt
        save(self, model, state, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "save", kill)
        with pytest.raises(KeyboardInterrupt):
            train_model(tiny_model(), data, data, tmp_path, ALL)
    found = train_model(tiny_model(), data, data, tmp_path, ALL)
    assert json.dumps(found) == json.dumps(history)  # In which nan is nan.
    for name in ("best.keras", "last.keras"):
        found, expected = saved_arrays(tmp_path / name), saved_arrays(folder / name)
        assert {k for k in expected if found[k] != expected[k]} == set()


@pytest.mark.slow
def test_the_folder_of_such_a_run(whole):
    folder, model, history = whole
    assert len(history) == 3
    found = tags(folder / "tensorboard")
    for tag in ("train/epoch_loss", "train/epoch_learning_rate", "validation/epoch_box_ap50"):
        assert found[tag] == [0, 1, 2]
    assert found["validation/predictions"] == [0, 1, 2]
    # In the end the model has the averages; the folder goes on from the weights.
    weights = {v.path: v.numpy() for v in model.trainable_variables}
    last = {v.path: v.numpy() for v in load_model(folder / "last.keras").trainable_variables}
    assert any((weights[path] != last[path]).any() for path in weights)
    moved = [path for path in weights if path.startswith("res")]
    start = {v.path: v.numpy() for v in tiny_model().trainable_variables}
    assert moved and all((last[path] != start[path]).any() for path in moved)


@pytest.mark.slow  # A run of one step.
def test_time_that_is_up_ends_with_an_evaluation(data, tmp_path):
    options = TrainingOptions(minutes=0.001, evaluate_every=5, **SIZES)
    model = tiny_model()
    history = train_model(model, data, data, tmp_path, options)
    assert len(history) == 1 and "val_mask_ap" in history[0]
    assert int(model.optimizer.iterations) == 1
    state = RunFolder(tmp_path).state()
    assert state.ended and state.seconds > 0.06
    assert {"best.keras", "predictions.png"} <= {path.name for path in tmp_path.iterdir()}
    # It is over, also for a process that begins anew.
    again = train_model(tiny_model(), data, data, tmp_path, options)
    assert [row["loss"] for row in again] == [history[0]["loss"]]


@pytest.mark.slow  # Some steps.
def test_a_search_leaves_the_model_as_it_was(data, tmp_path):
    model = tiny_model()
    before = [v.numpy() for v in model.variables]
    options = TrainingOptions(accumulate=2, freeze="backbone", **SIZES)
    trained = len(model.trainable_variables)
    found = find_learning_rate(model, data, options, tmp_path, updates=6, highest=1.0)
    assert 2 <= len(found.losses) <= 6 and all(loss < 100 for loss in found.losses)
    assert all((a == v.numpy()).all() for a, v in zip(before, model.variables, strict=True))
    assert len(model.trainable_variables) == trained
    lines = (tmp_path / "learning_rate.csv").read_text().splitlines()
    assert lines[0] == "learning_rate,loss,smoothed" and len(lines) == 1 + len(found.losses)
    assert (tmp_path / "learning_rate.png").stat().st_size > 5000
    assert RunFolder(tmp_path).is_unused()
