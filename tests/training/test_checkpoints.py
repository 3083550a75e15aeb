"""A model on disk is whole, good, and the best."""

import errno
import os
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers import run_python

from keras_maskrcnn import NonFiniteError
from keras_maskrcnn.training import SafeCheckpoint


@pytest.fixture
def model():
    inputs = keras.Input((1,))
    return keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(inputs))


def _saved_weight(path):
    return float(keras.saving.load_model(path).get_weights()[0][0, 0])


def test_checkpoint_keeps_the_best_and_counts_nan_as_nothing(model, tmp_path):
    path = tmp_path / "new" / "best.keras"
    checkpoint = SafeCheckpoint(path, "val_mask_ap")
    checkpoint.set_model(model)
    kept = []
    for epoch, value in enumerate([np.nan, 0.2, 0.1, np.nan, 0.3]):
        model.set_weights([np.array([[float(epoch)]])])
        checkpoint.on_epoch_end(epoch, {"val_mask_ap": value})
        kept.append(_saved_weight(path))
    assert kept == [0.0, 1.0, 1.0, 1.0, 4.0]
    assert [file.name for file in path.parent.iterdir()] == ["best.keras"]


def test_checkpoint_goes_on_from_an_earlier_best(model, tmp_path):
    checkpoint = SafeCheckpoint(tmp_path / "best.keras", "val_mask_ap", best=0.5)
    checkpoint.set_model(model)
    checkpoint.on_epoch_end(0, {"val_mask_ap": 0.4})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
def test_failure_while_saving_leaves_the_good_file_alone(model, tmp_path, monkeypatch, failure):
    path = tmp_path / "last.keras"
    checkpoint = SafeCheckpoint(path)
    checkpoint.set_model(model)
    model.set_weights([np.array([[3.0]])])
    checkpoint.on_epoch_end(0, {})

    def fail(file):
        Path(file).write_bytes(b"half")
        raise failure

    monkeypatch.setattr(model, "save", fail)
    with pytest.raises(type(failure)):
        checkpoint.on_epoch_end(1, {})
    assert _saved_weight(path) == 3.0
    assert os.listdir(tmp_path) == ["last.keras"]


FULL_DISK = """
import resource, keras
from keras_maskrcnn.training import SafeCheckpoint

inputs = keras.Input((1,))
model = keras.Model(inputs, keras.layers.Dense(10_000)(inputs))
checkpoint = SafeCheckpoint(sys.argv[1])
checkpoint.set_model(model)
# Longer files cannot be written from here on, as none can on a full disk.
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    checkpoint.on_epoch_end(0, {})
except OSError as error:
    print("error", str(error))
"""


def test_full_disk_leaves_nothing_and_is_one_line(tmp_path):
    output = run_python(FULL_DISK, tmp_path / "last.keras").splitlines()
    lines = [line for line in output if line.startswith("error")]
    assert lines == [f"error Cannot write {tmp_path / 'last.keras'}: File too large"]
    assert not any("Traceback" in line for line in output)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_finite_replace_nothing(model, tmp_path):
    model.compile(keras.optimizers.SGD(0.5))
    checkpoint = SafeCheckpoint(tmp_path / "best.keras", "val_mask_ap")
    checkpoint.set_model(model)
    model.set_weights([np.array([[3.0]])])
    checkpoint.on_epoch_end(0, {"val_mask_ap": 0.1})
    model.set_weights([np.array([[np.inf]])])
    with pytest.raises(NonFiniteError, match=r"dense.*/kernel holds values that are not finite"):
        checkpoint.on_epoch_end(1, {"val_mask_ap": 0.2})
    assert _saved_weight(tmp_path / "best.keras") == 3.0


def test_checkpoint_errors(model, tmp_path):
    with pytest.raises(ValueError, match=r"best\.h5"):
        SafeCheckpoint(tmp_path / "best.h5")
    checkpoint = SafeCheckpoint(tmp_path / "best.keras", "val_mask_ap")
    checkpoint.set_model(model)
    with pytest.raises(ValueError, match="monitor='val_mask_ap'"):
        checkpoint.on_epoch_end(0, {"loss": 1.0})
