"""Speeds are what a clock says of them, and the command tells them."""

import json
import types

import keras
import numpy as np
import pytest
from helpers import make_data

from keras_maskrcnn.cli import main
from keras_maskrcnn.training import speed
from keras_maskrcnn.training.speed import predict_speed, speed_table, training_speed


class Clock:
    """Tells 0, and goes on by what a model takes."""

    now = 0.0

    def perf_counter(self):
        return self.now


class Model:
    """Takes 10 seconds at first, then 2, 1 and 3 for a call; remembers what it was asked."""

    compute_dtype = "float32"

    def __init__(self, clock):
        self.clock = clock
        self.asked = []

    def predict(self, pictures, batch_size, verbose):
        self.clock.now += (10, 2, 1, 3)[len(self.asked)]
        self.asked.append(pictures)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(speed, "time", clock)
    return clock


def test_prediction_by_hand(clock):
    model = Model(clock)
    found = predict_speed(model, ["a", "b", "c"], batch_size=2, runs=3)
    assert model.asked == [["a", "b"], ["c", "a"], ["b", "c"], ["a", "b"]]
    assert (found.first, found.seconds, found.median) == (10, (2, 1, 3), 2)
    assert found.pictures_per_second == 1
    assert 50 < found.megabytes < 20_000
    header, line = speed_table([found]).splitlines()
    assert header.split()[-1] == "MB"
    assert line.split()[2:8] == ["2", "10.000", "2.000", "1.000", "3.000", "1.00"]
    assert found.to_json()["median"] == 2


def test_training_by_hand(clock, tmp_path):
    """A model whose steps take 5, then 1 second."""

    class Slow(keras.Model):
        def fit(self, batches, steps_per_epoch, callbacks, **rest):
            (timer,) = callbacks
            timer.on_train_begin()
            for step in range(steps_per_epoch):
                clock.now += 1 if step else 5
                timer.on_train_batch_end(step)

    data = make_data(tmp_path, [(32, 40)] * 2)
    data.batches = lambda *a, **k: types.SimpleNamespace(repeat=lambda: None)
    found = training_speed(Slow(), data, batch_size=4, runs=3)
    assert (found.first, found.seconds, found.pictures_per_second) == (5, (1, 1, 1), 4)


def test_numbers_out_of_range():
    with pytest.raises(ValueError, match="runs=0"):
        predict_speed(None, ["a"], runs=0)
    with pytest.raises(ValueError, match="at least one picture"):
        predict_speed(None, [])


def test_command(monkeypatch, tmp_path, capsys):
    from keras_maskrcnn.cli import benchmark

    asked = []

    def load(choice, weights_file):
        model = Model(Clock())
        model.pixels = types.SimpleNamespace(channels=4)
        model.predict = lambda pictures, **_: asked.append(np.shape(pictures))
        return model

    monkeypatch.setattr(benchmark, "load_model", load)
    output = tmp_path / "speed.json"
    words = ["benchmark", "m.keras", "--size", "8", "6", "--batch-size", "1", "2", "--runs", "3"]
    assert main([*words, "--output", str(output)]) == 0
    assert asked == [(1, 8, 6, 4)] * 4 + [(2, 8, 6, 4)] * 4
    rows = json.loads(output.read_text())["measured"]
    assert [row["batch_size"] for row in rows] == [1, 2]
    assert main(["benchmark", "m.keras", "a.jpg", "--size", "8", "6"]) == 2
    assert main(["benchmark", "m.keras", str(tmp_path / "none.jpg")]) == 2
    assert "none.jpg" in capsys.readouterr().err
