"""A run that is killed at any moment comes to the same numbers and weights as one that is not.

Training writes nothing in place, so a kill leaves what the folder holds before or after one of its
renames, or in the middle of a write. Here all these moments are kept as copies of the folder; each
copy is a killed run that goes on. A small model stands for the whole one; `tests/cli/test_main.py`
and `tests/acceptance/test_kills.py` have the rest.
"""

import os
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest
from helpers import make_data

from keras_maskrcnn import NonFiniteError
from keras_maskrcnn.evaluation import CocoEvaluation, callback
from keras_maskrcnn.schedules import WarmupSchedule
from keras_maskrcnn.training import RunCheckpoint, RunFolder, TrainingState, files

EPOCHS = 4
MONITOR = "val_mask_ap"


def train(folder, data, *callbacks):
    """Trains in a folder, or goes on in it, as `train_model` does; with a model of one layer."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, 3))
    features = keras.layers.GlobalAveragePooling2D()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(features))
    model.compile(keras.optimizers.Adam(WarmupSchedule(0.05, 10, 4, "cosine")), "mse")
    run = RunFolder(folder)
    with run.lock():
        run.remove_partials()
        state = run.state() or TrainingState(pictures=len(data))
        batches = data.batches(
            2, min_size=32, shuffle=True, augment=True, seed=1, first_pass=state.epochs_done
        ).map(lambda images, targets: (images / 255, targets["boxes"][:, 0, :2] / 32))
        if state.epochs_done:
            run.restore(model, state, MONITOR)
        evaluation = CocoEvaluation(data, every=2)
        model.fit(
            batches,
            epochs=EPOCHS,
            initial_epoch=state.epochs_done,
            verbose=0,
            callbacks=[evaluation, RunCheckpoint(run, state, MONITOR, evaluation), *callbacks],
        )


def contents(folder):
    """The history, and all arrays of both models: weights, optimizer, random states."""
    found = {"history": (folder / "history.csv").read_text()}
    for model in ("best", "last"):

        def add(name, item, model=model):
            if isinstance(item, h5py.Dataset):
                found[f"{model}/{name}"] = item[()].tobytes()

        with (
            zipfile.ZipFile(folder / f"{model}.keras") as archive,
            archive.open("model.weights.h5") as file,
            h5py.File(file) as arrays,
        ):
            arrays.visititems(add)
    return found


@pytest.fixture(scope="module")
def moments(tmp_path_factory):
    """The pictures, the folder of a whole run, and copies of it from every moment of that run."""
    folder = tmp_path_factory.mktemp("run")
    copies = tmp_path_factory.mktemp("copies")
    data = make_data(tmp_path_factory.mktemp("pictures"), [(32, 40)] * 4)
    names = []

    def keep(name, half=None):
        names.append(f"{len(names):02} {name}")
        shutil.copytree(folder, copies / names[-1])
        if half is not None:
            partial = copies / names[-1] / half.relative_to(folder)
            partial.write_bytes(partial.read_bytes()[: partial.stat().st_size // 2])

    def replace(source, target):
        keep(f"while {target.name} is written", half=source)
        os.rename(source, target)
        keep(f"after {target.name} appeared")

    # Weights tell the score, so that only the same weights have the same best epoch.
    def evaluate(model, data, **options):
        return {"mask_ap": float(1 - np.abs(model.get_weights()[0] - 0.1).sum())}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callback, "evaluate_coco", evaluate)
        patch.setattr(files.os, "replace", replace)
        train(folder, data)
        patch.undo()
        patch.setattr(callback, "evaluate_coco", evaluate)
        yield data, folder, [copies / name for name in names]


def test_the_run_has_what_a_resumed_one_can_lose(moments):
    _, folder, copies = moments
    history = RunFolder(folder).history()
    scores = [row[MONITOR] for row in history]
    # Evaluated after epochs 1, 2 and 4; the third repeats the second's.
    assert scores[1] == scores[2] and len(set(scores)) == 3
    assert len({row["loss"] for row in history}) == EPOCHS
    written = [copy.name[3:] for copy in copies]
    assert written.count("after last.keras appeared") == EPOCHS
    assert written.count("after history.csv appeared") == EPOCHS
    assert 2 <= written.count("after best.keras appeared") < EPOCHS
    assert "last/optimizer/vars/1" in contents(folder)
    assert not any(name.startswith("best/optimizer") for name in contents(folder))


def test_a_run_killed_at_any_moment_ends_as_one_that_was_not(moments):
    data, folder, copies = moments
    expected = contents(folder)
    for copy in copies:
        train(copy, data)
        assert contents(copy) == expected, copy.name
        assert sorted(os.listdir(copy)) == ["best.keras", "history.csv", "last.keras"], copy.name


def test_a_run_killed_again_and_again(moments, tmp_path):
    """After each resumption the next kill comes one epoch later, before its file appears."""
    data, folder, _ = moments
    killed = tmp_path / "killed"
    killed.mkdir()
    for epoch in range(1, EPOCHS):

        class Stop(RunFolder):
            def save(self, model, state, monitor, averages=None, epoch=epoch):
                if state.epochs_done > epoch:
                    raise SystemExit
                super().save(model, state, monitor, averages)

        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit):
            patch.setitem(globals(), "RunFolder", Stop)
            train(killed, data)
    train(killed, data)
    assert contents(killed) == contents(folder)


def test_weights_that_are_not_finite_end_the_run_before_they_are_written(moments, tmp_path):
    data, folder, _ = moments
    kept = []

    def spoil(epoch, logs):
        if epoch == 2:
            kept.append(contents(tmp_path))
            model = keep.model
            model.set_weights([np.full_like(value, np.inf) for value in model.get_weights()])

    keep = keras.callbacks.LambdaCallback(on_epoch_begin=spoil)
    with pytest.raises(NonFiniteError, match="holds values that are not finite"):
        train(tmp_path, data, keep)
    assert contents(tmp_path) == kept[0]
    assert RunFolder(tmp_path).state().epochs_done == 2
    train(tmp_path, data)
    assert contents(tmp_path) == contents(folder)
