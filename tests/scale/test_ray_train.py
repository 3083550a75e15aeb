"""Two workers of Ray Train do what one process does: `make test-scale` installs Ray."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_maskrcnn.demo.scenes import build_scenes

pytest.importorskip("ray.train.tensorflow", reason="ray[train] is not installed")

WORKERS = Path(__file__).resolve().parents[2] / "benchmarks" / "workers"


def run(program, *words):
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "RAY_USAGE_STATS_ENABLED": "0"}
    paths = [str(WORKERS.parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, WORKERS / program, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environment, "PYTHONPATH": os.pathsep.join(paths)},
    )
    assert done.returncode == 0, done.stdout[-5000:]


def test_two_workers_of_ray_train_as_one_process(tmp_path):
    scenes = build_scenes(tmp_path / "scenes", train=9, val=1, size=96)
    run("joint_training.py", scenes, tmp_path / "one.npz")
    run("ray_training.py", scenes, tmp_path / "ray")
    with np.load(tmp_path / "one.npz") as file:
        one = dict(file)
    assert one["moved"] > 1e-2
    for rank in range(2):
        with np.load(tmp_path / "ray" / f"worker{rank}.npz") as file:
            worker = dict(file)
        assert len(worker["read"]) == 4  # Of eight pictures, this worker's half.
        np.testing.assert_allclose(worker["losses"], one["losses"], rtol=1e-4)
        for name in one:
            if name.startswith("variable"):
                np.testing.assert_allclose(worker[name], one[name], atol=1e-4, err_msg=name)
