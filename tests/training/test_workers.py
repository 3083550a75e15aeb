"""One process, two stand-ins for processes, and what the first does alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import make_data, tiny_model

from keras_maskrcnn.training import TrainingOptions, TrainingState, Workers, train_model
from keras_maskrcnn.training.state import state_from_json, state_to_json
from keras_maskrcnn.training.together import Agreement, ChiefValidation


class Two(Workers):
    """One of two workers, without the other: sums are what it gives."""

    def __init__(self, is_chief=True, added=0.0):
        super().__init__(tf.distribute.get_strategy())
        self.count, self.is_chief, self.added = 2, is_chief, added

    def _sum(self, value):
        return value.astype(np.float32) + self.added


def test_a_process_alone_is_the_chief(tmp_path):
    workers = Workers(tf.distribute.get_strategy())
    assert (workers.count, workers.is_chief, workers.are_several) == (1, True, False)
    value = object()
    assert workers.from_chief(value) is value
    workers.require_equal_shares(3)
    data = make_data(tmp_path, [(32, 32)] * 5)
    batches, steps = workers.batches(data, 2, min_size=32, seed=0)
    assert steps == 3 and [len(targets["boxes"]) for _, targets in batches] == [2, 2, 1]


def test_what_a_chief_tells_comes_back_as_it_was():
    state = TrainingState(
        pictures=3, history=({"epoch": 1.0, "loss": 0.1 + 0.2}, {"epoch": 2.0}), stale=2, ended=True
    )
    told = Two().from_chief(state_to_json(state))
    assert state_from_json(told) == state
    assert Two().from_chief({"name": "größe", "sizes": []}) == {"name": "größe", "sizes": []}


def test_workers_that_differ_are_told():
    Two().require_same({"a": 1, "b": (2, 3)})
    # Another one counts a difference, of which this one knows nothing.
    with pytest.raises(ValueError, match="Expected the same on all workers. Received: another"):
        two = Two()
        two.from_chief = lambda value: {"a": 1}
        two.added = 1.0
        two.require_same({"a": 1})
    with pytest.raises(ValueError, match="Received: a=1, on the first worker a=2"):
        two = Two()
        two.from_chief = lambda value: {"a": 2}
        two.require_same({"a": 1})


def test_shares_and_steps_that_cannot_be(tmp_path):
    with pytest.raises(ValueError, match="Received: 3 pictures of '' and batch_size=4"):
        Two().batches(make_data(tmp_path, [(32, 32)] * 3), 4, min_size=32, seed=0)
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    workers = Workers(strategy)
    assert not workers.are_several  # One process, whatever its replicas.
    workers.count = 2
    workers.require_equal_shares(3)  # Of one replica.


def test_several_workers_refuse_what_would_part_them(tmp_path, monkeypatch):
    model = tiny_model(heads=())
    data = make_data(tmp_path, [(64, 96)] * 2)
    monkeypatch.setattr("keras_maskrcnn.training.run.Workers", lambda strategy: Two())
    with pytest.raises(ValueError, match="Received: minutes=1.0"):
        train_model(model, data, data, tmp_path / "run", TrainingOptions(minutes=1.0))
    with (
        tf.distribute.MirroredStrategy(["CPU:0"]).scope(),
        pytest.raises(ValueError, match=r"Expected train_model outside of strategy.scope\(\)"),
    ):
        train_model(model, data, data, tmp_path / "run", TrainingOptions())
    assert not (tmp_path / "run").exists()


class Small(keras.Model):
    """A weight that trains and one that does not; its loss tells what they are."""

    def __init__(self):
        super().__init__()
        self.a = self.add_weight(name="a", initializer="zeros")
        self.b = self.add_weight(name="b", initializer="zeros", trainable=False)
        self.built = True

    def call(self, x):
        return x

    def compute_loss(self, *args, **kwargs):
        return self.a + 10 * self.b + 100 * len(self.trainable_variables)

    def get_config(self):
        return {}


class Judge(keras.callbacks.Callback):
    """Notes what it sees."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append((epoch, self.model.stop_training, float(self.model.a), dict(logs)))
        logs["val_ap"] = 0.5


class Averages:
    """Puts 7 in the place of a weight."""

    def __init__(self, model):
        self.model = model

    def in_model(self):
        return self

    def __enter__(self):
        self.kept = float(self.model.a)
        self.model.a.assign(7.0)

    def __exit__(self, *error):
        self.model.a.assign(self.kept)


def test_the_chief_judges_a_copy():
    model = Small()
    model.stop_training = False  # As `fit` begins.
    judge = Judge()
    batches = tf.data.Dataset.from_tensors((tf.zeros((1, 1)), tf.zeros((1, 1))))
    validation = ChiefValidation(model, batches, [judge])
    validation.set_model(model)
    validation.set_params({"epochs": 2})
    validation.on_train_begin()
    assert judge.model is validation.copy is not model and judge.params == {"epochs": 2}
    model.a.assign(2.0)
    model.b.assign(3.0)
    logs = {"loss": 1.0}
    validation.on_epoch_end(0, logs)
    assert logs == {"loss": 1.0, "val_loss": 132.0, "val_ap": 0.5}
    assert judge.seen == [(0, False, 2.0, {"loss": 1.0, "val_loss": 132.0})]
    model.a.trainable = False  # The copy's loss counts what trains.
    model.stop_training = True
    validation.averages = Averages(model)
    validation.copy.make_test_function(force=True)
    validation.on_epoch_end(1, logs := {})
    assert logs["val_loss"] == 37.0 and judge.seen[1][:3] == (1, True, 7.0)
    assert float(model.a) == 2.0


@pytest.mark.parametrize("ended", [False, True])
def test_all_end_when_the_chief_does(ended):
    class Checkpoint:
        state = TrainingState(pictures=2, history=({"epoch": 1.0},), ended=ended)

    agreement = Agreement(Two(), TrainingState(pictures=2), Checkpoint())
    agreement.set_model(Small())
    agreement.model.stop_training = not ended  # What this worker thinks does not count.
    agreement.on_epoch_end(0)
    assert agreement.model.stop_training is ended and agreement.state == Checkpoint.state
