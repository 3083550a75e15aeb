"""Where a run stands, in one file with its model."""

import math

import keras
import numpy as np
import pytest

from keras_maskrcnn.training import TrainingState, best_epoch
from keras_maskrcnn.training.state import load_state, save_model


@pytest.fixture
def model():
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(inputs))
    model.compile("sgd")
    return model


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ([0.2, 0.1, 0.3], 2),
        ([0.2, 0.1, 0.2], 0),  # As the file of the first is not written again.
        ([math.nan, 0.0, math.nan], 1),
        ([math.nan, math.nan], 1),
        ([0.1, math.nan, 0.2], 2),
    ],
)
def test_best_epoch(values, best):
    assert best_epoch([{"ap": value} for value in values], "ap") == best


def test_best_epoch_names_what_it_misses():
    with pytest.raises(ValueError, match=r"\['loss'\]. Received: name='ap'"):
        best_epoch([{"loss": 1.0}], "ap")


def test_the_state_comes_back_to_the_last_bit_from_a_model_that_loads(model, tmp_path):
    rows = ({"epoch": 0.0, "loss": 0.1 + 0.2}, {"epoch": 1.0, "loss": 1e-310})
    state = TrainingState(pictures=7, history=rows, evaluation={"mask_ap": 1 / 3})
    assert state.epochs_done == 2
    model.set_weights([np.array([[2.5]])])
    save_model(model, tmp_path / "last.keras", state)
    assert load_state(tmp_path / "last.keras") == state
    loaded = keras.saving.load_model(tmp_path / "last.keras")
    assert loaded.get_weights()[0] == 2.5


def test_files_without_a_state(model, tmp_path):
    path = tmp_path / "last.keras"
    assert load_state(path) is None
    model.save(path)
    with pytest.raises(ValueError, match=r"state of its run.*last\.keras"):
        load_state(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"state of its run.*last\.keras"):
        load_state(path)
