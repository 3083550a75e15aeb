"""What this package asks of Ray, of a stand-in: with Ray itself `tests/scale/test_ray_data.py`."""

import os
import sys
from types import ModuleType, SimpleNamespace

import pytest
import tensorflow as tf
from picture_archive import find_squares, make_archive, stub_model

from keras_maskrcnn.cli import archive, main
from keras_maskrcnn.inference.many import predict_many
from keras_maskrcnn.inference.many import work as many
from keras_maskrcnn.inference.many.on_ray import gpus_each, threads_each

COUNT = 23


def actor(of):
    """Whose method is called as one of Ray's."""
    return SimpleNamespace(begin=SimpleNamespace(remote=of.begin))


class StandIn(ModuleType):
    """Maps the rows one by one, the last first, and so many times, as after lost workers."""

    def __init__(self):
        super().__init__("ray")
        self.is_running, self.asked, self.calls, self.times = False, {}, [], 2
        self.data = ModuleType("ray.data")
        self.data.from_items = self.from_items
        self.data.ActorPoolStrategy = lambda **options: options
        self.exceptions = SimpleNamespace(RayActorError=ZeroDivisionError)
        self.remote = lambda num_cpus: lambda kind: SimpleNamespace(remote=lambda: actor(kind()))
        # What is `put` cannot be pickled here, as a stub of a model.
        self.put = self.get = lambda model: model
        self.nodes = lambda: [{"Alive": True}]
        self.cluster_resources = lambda: {"CPU": 2.0}
        self.is_initialized = lambda: self.is_running

    def init(self, address=None, num_cpus=None, **_):
        self.calls.append((address, num_cpus))
        self.is_running = True

    def shutdown(self):
        self.calls.append("shutdown")
        self.is_running = False

    def from_items(self, rows, override_num_blocks):
        def map_rows(worker, fn_constructor_args, **options):
            self.asked = options
            made = worker(*fn_constructor_args)

            def iter_rows():
                for row in reversed(rows):
                    yield [made(row) for _ in range(self.times)][-1]

            return SimpleNamespace(iter_rows=iter_rows)

        assert override_num_blocks == len(rows)
        return SimpleNamespace(context=SimpleNamespace(), map=map_rows)


@pytest.fixture
def ray(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    stand_in = StandIn()
    monkeypatch.setitem(sys.modules, "ray", stand_in)
    monkeypatch.setitem(sys.modules, "ray.data", stand_in.data)
    # Other tests have started TensorFlow.
    monkeypatch.setattr(
        tf.config.threading, "set_intra_op_parallelism_threads", stand_in.calls.append
    )
    return stand_in


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(many, "predict_batch", find_squares)
    make_archive(tmp_path / "archive", COUNT)
    monkeypatch.chdir(tmp_path)  # Back afterwards, whatever a worker does.
    return "archive"


def predict(output, **options):
    return predict_many(stub_model(), "archive", output, batch_size=2, part_size=5, **options)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_tables(ray, pictures, tmp_path):
    told = []
    there = predict("here")
    summary = predict("ray", ray_workers=2, tell=lambda *numbers: told.append(numbers))
    assert contents(tmp_path / "ray") == contents(tmp_path / "here")
    assert summary == there and len(summary.unread) == 1
    assert told == [(done, COUNT) for done in (0, 3, 8, 13, 18, 23)]
    assert ray.asked["compute"] == {"size": 2, "max_tasks_in_flight_per_actor": 1}
    assert ray.asked["num_gpus"] == 0
    # It has started Ray on this machine, and ends it.
    cores = os.cpu_count()
    assert ray.calls == [("local", max(2, cores)), max(1, cores // 2), "shutdown"]


def test_it_goes_on_where_the_other_ended(ray, pictures, tmp_path):
    ray.is_running = True
    predict("out")
    whole = contents(tmp_path / "out")
    for name in ("pictures-00001.jsonl", "pictures-00004.jsonl", "objects-00004.jsonl"):
        (tmp_path / "out" / name).unlink()
    summary = predict("out", ray_workers=8)
    assert ray.asked["compute"]["size"] == 2  # Of two parts.
    assert (summary.pictures, summary.there) == (8, 15)
    assert contents(tmp_path / "out") == whole
    # Nothing is left to do: no worker is asked for. Ray that was running goes on.
    ray.data = None
    assert predict("out", ray_workers=1).pictures == 0
    assert "shutdown" not in ray.calls


def test_a_cluster_that_is_named(ray, pictures, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    predict("out", ray_workers=2)
    assert ray.calls[0] == (None, None)


def test_workers_with_disks_of_their_own(ray, pictures, tmp_path):
    def elsewhere(model):
        (tmp_path / "out").rename(tmp_path / "of another machine")
        (tmp_path / "out").mkdir()
        return model

    ray.put = elsewhere
    with pytest.raises(OSError, match=r"same path\. Received: .*/out, without job\.json here"):
        predict("out", ray_workers=2)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_part_that_ends_its_workers(ray, pictures):
    ray.times = 4
    assert predict("four", ray_workers=2).pictures == COUNT
    ray.times = 5
    with pytest.raises(
        OSError, match=r"end its worker.*part 4 \(.*0020\.png to .*0022\.png\).* 4 were lost"
    ):
        predict("five", ray_workers=2)
    assert ray.calls[-1] == "shutdown"


def test_errors_of_workers(ray, pictures, monkeypatch):
    """Are those of this process; one that ends in its start tells so."""

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(many, "predict_batch", full)
    with pytest.raises(OSError, match="No space left on device"):
        predict("out", ray_workers=2)
    ray.get = lambda _: 1 / 0
    with pytest.raises(OSError, match="Workers of Ray cannot start: division by zero"):
        predict("out", ray_workers=2)
    assert ray.calls[-1] == "shutdown"


@pytest.mark.parametrize(
    ("cores", "workers", "machines", "threads"),
    [(16, 2, 1, 8), (16, 3, 1, 5), (2, 4, 1, 1), (16, 4, 4, 16), (16, 8, 4, 8), (4, 1, 3, 4)],
)
def test_threads(cores, workers, machines, threads):
    assert threads_each(cores, workers, machines) == threads


@pytest.mark.parametrize(
    ("gpus", "workers", "each"),
    [(0, 2, 0), (1, 2, 0.5), (4, 6, 0.5), (8, 4, 1), (8, 8, 1), (2, 5, 1 / 3)],
)
def test_gpus(gpus, workers, each):
    assert gpus_each(gpus, workers) == each
    if gpus:  # As many as fit on a GPU, on all of them, are enough.
        assert int(1 / each) * gpus >= workers


def test_arguments(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="ray_workers must be at least 1"):
        predict(tmp_path / "out", ray_workers=0)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"on Ray needs.*maskrcnn-keras\[ray\]"):
        predict(tmp_path / "out", ray_workers=2)
    assert not (tmp_path / "out").exists()


def test_without_pictures(ray, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="Expected pictures"):
        predict_many(stub_model(), tmp_path / "empty", tmp_path / "out", ray_workers=2)
    assert ray.calls == []


def test_command(ray, pictures, tmp_path, capsys, monkeypatch):
    def load_model(*_):
        growth.append(os.environ.get("TF_FORCE_GPU_ALLOW_GROWTH"))
        return stub_model()

    growth = []
    monkeypatch.setattr(archive, "load_model", load_model)
    monkeypatch.setattr(os, "environ", {**os.environ})
    command = ["predict", "model.keras", "--input", "archive", "--part-size", "10"]
    assert main([*command, "--output", "here"]) == 1
    assert main([*command, "--output", "ray", "--ray", "2"]) == 1
    assert ray.asked["compute"]["size"] == 2
    # The model that this process loads leaves the memory of GPUs to workers.
    assert growth[-1] == "true"
    assert contents(tmp_path / "ray") == contents(tmp_path / "here")
    assert capsys.readouterr().out.count("objects in 23 pictures: ") == 2
    assert main(["predict", "model.keras", "a.jpg", "--ray", "2"]) == 2
    assert "--ray only with --input. Received: --ray 2" in capsys.readouterr().err
