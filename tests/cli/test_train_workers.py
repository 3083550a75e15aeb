"""`maskrcnn train` by two processes that `TF_CONFIG` makes workers of one run."""

import time

import pytest
from saved_arrays import saved_arrays
from worker_processes import WorkerProcesses

from keras_maskrcnn.demo.scenes import build_scenes
from keras_maskrcnn.training import RunFolder

COMMAND = "import sys; from keras_maskrcnn.cli import main; sys.exit(main())"
SETTINGS = [
    *("neck.channels=16", "rpn.anchor_sizes=[[16],[32],[64],[96],[128]]"),
    *("rpn.pre_nms_train=50", "rpn.pre_nms_test=50"),
    *("rpn.proposals_train=50", "rpn.proposals_test=20", "box.samples=16", "box.dim=32"),
    *("mask.convs=1", "mask.dim=8", "box.score_threshold=0.0", "box.max_detections=5"),
]
SECONDS = 1800


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """Of the command: nine pictures are four steps of two, and one that is left out."""
    scenes = build_scenes(tmp_path_factory.mktemp("scenes"), train=9, val=3, size=96)
    return [
        *("-c", COMMAND, "train", "--data", scenes, "--output", "run"),
        *("--backbone", "resnet18", "--min-size", "96", "--max-size", "96", "--seed", "3"),
        *("--epochs", "3", "--optimizer", "adam", "--learning-rate", "3e-3", "--ema", "0.9"),
        *(word for setting in SETTINGS for word in ("--set", setting)),
    ]


@pytest.mark.slow  # Three times two processes.
def test_killed_workers_go_on_as_if_they_had_not_been(words, tmp_path):
    whole = WorkerProcesses(words, tmp_path / "whole")
    first, second = whole.succeed(SECONDS)
    assert "This is worker 1 of 2 (127.0.0.1:" in first and "This is worker 2 of 2" in second
    assert "2 workers take 4 steps in an epoch, each of 2 pictures" in first
    assert "Best epoch: " in first and "Best epoch: " not in second
    folder = whole.folders[0] / "run"
    assert {path.name for path in folder.iterdir()} == {
        *("config.json", "history.csv", "log.txt", "best.keras", "last.keras"),
        *("learning_curves.png", "predictions.png"),
    }
    assert not any(whole.folders[1].iterdir())  # Files are the first worker's.
    assert len(RunFolder(folder).history()) == 3

    killed = WorkerProcesses(words, tmp_path / "killed")
    run = killed.folders[0] / "run"
    start = time.monotonic()
    while not (run / "history.csv").exists():  # After the first epoch.
        assert time.monotonic() - start < SECONDS and killed.processes[1].poll() is None
        time.sleep(0.05)
    killed.processes[1].kill()
    assert killed.end(SECONDS) == [1, -9]
    first, _ = killed.texts()
    assert first.splitlines()[-1] == (
        "maskrcnn train: error: another worker has ended. To go on, start the same command again "
        "on all workers"
    )
    assert 1 <= RunFolder(run).state().epochs_done < 3

    first, _ = WorkerProcesses(words, tmp_path / "killed").succeed(SECONDS)
    assert "Going on with run: " in first
    assert (run / "history.csv").read_text() == (folder / "history.csv").read_text()
    for name in ("best.keras", "last.keras"):
        assert saved_arrays(run / name) == saved_arrays(folder / name), name
