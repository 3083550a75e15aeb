"""One process, two stand-ins for processes, and what the first does alone."""

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import make_data, tiny_model

from keras_maskrcnn.data.digest import data_digest
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


class Meeting(Workers):
    """One of several workers, each a thread, whose sums are those of all."""

    def __init__(self, number, values, barrier):
        super().__init__(tf.distribute.get_strategy())
        self.count, self.is_chief = len(values), number == 0
        self.number, self.values, self.barrier = number, values, barrier

    def _sum(self, value):
        self.values[self.number] = value.astype(np.float32)
        self.barrier.wait(60)
        total = sum(self.values)  # Raises where shapes differ.
        self.barrier.wait(60)
        return total


def together(function, count=2):
    """What a function of a worker gives, or raises, on each of several."""
    barrier, values = threading.Barrier(count), [None] * count
    with ThreadPoolExecutor(count) as threads:
        calls = [
            threads.submit(function, Meeting(number, values, barrier)) for number in range(count)
        ]
    return [call.exception() or call.result() for call in calls]


def test_what_the_chief_tells_all_hear():
    told = together(lambda workers: workers.from_chief({"ä": [workers.number, None]}), 3)
    assert told == [{"ä": [0, None]}] * 3
    # With its quotes 2**24 + 3 characters: a number that float32, as sums are, does not have.
    text = "x" * (2**24 + 1)
    heard = together(lambda workers: workers.from_chief(text))
    assert [len(one) for one in heard] == [len(text)] * 2


def test_all_workers_learn_that_one_differs():
    values = [{"a": 1, "b": 2}, {"a": 1, "b": 3}, {"a": 1, "b": 2}]
    found = together(lambda workers: workers.require_same(values[workers.number]), 3)
    assert [type(error) for error in found] == [ValueError] * 3
    assert "Received: b=3, on the first worker b=2" in str(found[1])
    assert all("another value on another worker" in str(found[k]) for k in (0, 2))


def test_all_workers_get_the_variables_of_the_chief():
    values = {
        "float32": [[-0.0, 1e-30, np.inf], [0.1, 0.2, 0.3]],
        "uint32": [[4_294_967_295, 1], [0, 7]],
        "int64": [[2**40 + 1, -3], [0, 7]],
        "bool": [[True, False], [False, True]],
    }

    def share(workers):
        variables = [
            keras.Variable(np.array(both[workers.number], dtype), dtype=dtype)
            for dtype, both in values.items()
        ]
        workers.share_variables(variables)
        return [v.numpy().tolist() for v in variables]

    expected = [np.array(both[0], dtype).tolist() for dtype, both in values.items()]
    assert together(share) == [expected] * 2


def test_only_data_of_all_are_shared_out(tmp_path):
    data = make_data(tmp_path, [(32, 32)] * 8)

    def batches(workers):
        return workers.batches(data[workers.number :: 2], 2, min_size=32, seed=0)

    found = together(batches)
    assert all("Expected the same on all workers" in str(error) for error in found)
    assert "Received: digest of pictures and objects=" in str(found[1])


def test_data_that_differ_are_told_in_a_word(tmp_path):
    data = make_data(tmp_path, [(32, 32), (32, 48)])
    first, second = data.records
    (instance, *rest) = first.instances
    moved = dataclasses.replace(instance, box=(0.0, 0.0, 1.0, 1.0))
    elsewhere = dataclasses.replace(first, path="/other/place/" + first.path.rpartition("/")[2])
    assert data_digest(dataclasses.replace(data, records=[elsewhere, second])) == data_digest(data)
    others = [
        [second, first],
        [first],
        [dataclasses.replace(first, path="other.png"), second],
        [dataclasses.replace(first, width=33), second],
        [dataclasses.replace(first, instances=tuple(rest)), second],
        [dataclasses.replace(first, instances=(moved, *rest)), second],
        [dataclasses.replace(first, instances=(instance, *rest, instance)), second],
    ]
    digests = {data_digest(dataclasses.replace(data, records=records)) for records in others}
    assert len(digests | {data_digest(data)}) == 1 + len(others)
    assert len(data_digest(data)) == 16


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
