"""What `TF_CONFIG` says of the workers, before TensorFlow is imported."""

import json

import pytest

from keras_maskrcnn.cli import main
from keras_maskrcnn.cli.workers import Cluster, read_cluster
from keras_maskrcnn.training import TrainingOptions

TWO = ["a:1", "b:2"]


def told(monkeypatch, content):
    monkeypatch.setenv("TF_CONFIG", content if isinstance(content, str) else json.dumps(content))
    return read_cluster()


def task(index, kind="worker"):
    return {"type": kind, "index": index}


def test_who_takes_part(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert read_cluster() is None
    for alone in ("", "{}", {"cluster": {"worker": ["a:1"]}, "task": task(0)}, {"task": task(0)}):
        assert told(monkeypatch, alone) is None
    assert told(monkeypatch, {"cluster": {"worker": TWO}, "task": task(1)}) == Cluster(
        ("a:1", "b:2"), 1
    )
    # A task of the kind chief comes before all workers.
    jobs = {"worker": TWO, "chief": ["c:3"]}
    first = told(monkeypatch, {"cluster": jobs, "task": task(0, "chief")})
    assert first == Cluster(("c:3", "a:1", "b:2"), 0) and first.is_first
    last = told(monkeypatch, {"cluster": jobs, "task": task("1")})
    assert str(last) == "worker 3 of 3 (c:3, a:1, b:2)" and not last.is_first


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("cat", "Expected TF_CONFIG as JSON with cluster and task. Received: cat"),
        ("[]", "Received: []"),
        ({"cluster": {"worker": TWO}, "task": task("x")}, "Expected TF_CONFIG as JSON"),
        ({"cluster": {"worker": 3}, "task": task(0)}, "Expected TF_CONFIG as JSON"),
        ({"cluster": {"worker": TWO}, "task": task(2)}, 'Received: task={"type": "worker", "index'),
        ({"cluster": {"worker": TWO}}, "Expected a task of the cluster in TF_CONFIG"),
        ({"cluster": {"worker": TWO}, "task": task(0, "chief")}, "Expected a task of the cluster"),
        ({"cluster": {"worker": TWO, "ps": ["c:3"]}, "task": task(0)}, "Received: ps"),
        ({"cluster": {"worker": TWO}, "task": task(0, "evaluator")}, "Received: evaluator"),
    ],
)
def test_what_it_cannot_be(content, message, monkeypatch, tmp_path, capsys):
    with pytest.raises(ValueError) as error:
        told(monkeypatch, content)
    assert message in str(error.value)
    assert main(["train", "--data", str(tmp_path), "--output", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "search", "message"),
    [
        ({"batch_size": 3}, False, "Received: --batch-size 3 for 2 workers"),
        ({"batch_size": 2, "minutes": 1.0}, False, "Received: --minutes with 2 workers"),
        ({"batch_size": 2}, True, "Received: --find-learning-rate with 2 workers"),
    ],
)
def test_what_several_workers_cannot_do(options, search, message):
    with pytest.raises(ValueError, match=message):
        Cluster(("a:1", "b:2"), 1).check(TrainingOptions(**options), search)
