"""Killed runs of the command go on: `pytest -m slow -s tests/acceptance/test_kills.py`.

Twenty runs of a small `maskrcnn train` are killed at random moments, half of them while a file is
being written, and go on by `--resume`. Histories and weights are those of a run that was left
alone. About half an hour on two cores.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import h5py
import pytest

from keras_maskrcnn.demo.scenes import build_scenes
from keras_maskrcnn.training import RunFolder

KILLS = 20
COMMAND = "import sys; from keras_maskrcnn.cli import main; sys.exit(main())"
SETTINGS = [
    *("neck.channels=16", "rpn.anchor_sizes=[[16],[32],[64],[96],[128]]"),
    *("rpn.pre_nms_train=50", "rpn.pre_nms_test=50"),
    *("rpn.proposals_train=50", "rpn.proposals_test=20", "box.samples=16", "box.dim=32"),
    *("mask.convs=1", "mask.dim=8", "box.score_threshold=0.0", "box.max_detections=20"),
]
OPTIONS = [
    *("--backbone", "resnet18", "--min-size", "96", "--max-size", "96", "--seed", "3"),
    *("--epochs", "5", "--evaluate-every", "2", "--optimizer", "adam", "--learning-rate", "3e-3"),
    *(word for setting in SETTINGS for word in ("--set", setting)),
]


class Run:
    """A `maskrcnn train` in a process of its own."""

    def __init__(self, *words):
        self.start = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, "train", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        )

    def end(self):
        """Waits; the seconds that it took."""
        output = self.process.communicate()[0]
        assert self.process.returncode == 0, output[-3000:]
        return time.monotonic() - self.start

    def ended_within(self, seconds):
        """How long it took, where it ends within that time; else 0."""
        try:
            self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            return 0
        return time.monotonic() - self.start

    def kill(self):
        """Whether the process was still there to be killed."""
        self.process.kill()
        self.process.communicate()
        return self.process.returncode == -signal.SIGKILL


def half_written(folder):
    """The files that are being written, or were when the process was killed."""
    return sorted(path.name for path in folder.glob(".*.partial"))


def wait_for_write(run, folder, number):
    """Until a file is being written, for the `number`-th time that it is seen."""
    seen, writing = 0, False
    while seen < number and run.process.poll() is None:
        before, writing = writing, bool(half_written(folder))
        seen += writing and not before
        time.sleep(0.0005)


def contents(folder):
    """The history, and every array of both models."""
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


@pytest.mark.slow
def test_twenty_killed_runs_end_as_one_that_was_left_alone(tmp_path):
    scenes = build_scenes(tmp_path / "scenes", train=8, val=2, size=96)
    words = ["--data", scenes, *OPTIONS, "--output"]
    whole = tmp_path / "whole"
    duration = Run(*words, whole).end()
    expected = contents(whole)
    files = sorted(path.name for path in whole.iterdir())
    print(f"\na whole run: {duration:.0f} s, {len(expected)} arrays\n{expected['history']}")

    draw = random.Random(0)
    kills = {"at a moment": 0, "in a write": 0}
    number = 0
    while sum(kills.values()) < KILLS:
        number += 1
        folder = tmp_path / f"killed{number}"
        run = Run(*words, folder)
        if kills["at a moment"] < kills["in a write"]:
            moment = draw.uniform(0, duration)
            told = f"after {moment:.1f} s"
            # A run that ends before tells how long they take by now.
            duration = run.ended_within(moment) or duration
        else:
            # Up to some write of the third epoch; config.json is the first.
            write, moment = draw.randint(1, 12), draw.uniform(0, 0.05)
            told = f"{moment * 1000:.0f} ms into write {write}"
            wait_for_write(run, folder, write)
            time.sleep(moment)
        was_killed = run.kill()
        left = half_written(folder) if folder.exists() else []
        kind = "in a write" if left else "at a moment"
        if not was_killed or kills[kind] == KILLS // 2:
            print(f"   not counted: {kind}, {told}", flush=True)
            continue
        # Without a config.json there is nothing to go on with: the same command begins anew.
        has_begun = (folder / "config.json").exists()
        epochs = len(RunFolder(folder).history())
        has_ended = (folder / "predictions.png").exists()
        if not has_ended:
            Run(*(["--resume", folder] if has_begun else [*words, folder])).end()
            assert sorted(path.name for path in folder.iterdir()) == files
        assert contents(folder) == expected, (kind, told)
        kills[kind] += 1
        print(
            f"{sum(kills.values()):2} {kind}, {told}; epochs in history.csv: {epochs}; "
            f"half written: {left}; {'resumed' if has_begun else 'begun again'}: equal",
            flush=True,
        )
        shutil.rmtree(folder)
