"""One process with the whole batch beside two workers with half of it each.

    python benchmarks/two_workers.py
    python benchmarks/two_workers.py --ray .venv/scale/bin/python

The workers are processes of this machine, told of each other by `TF_CONFIG` and, with `--ray`, by
Ray Train, in an environment that has it. Each case trains the same small model for the same steps;
the table goes to `benchmarks/results/two_workers.md`. On one machine two workers share its cores:
what the table shows is that they compute the same, not that they are faster.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from workers.describe import describe_machine
from workers.joint_training import BACKBONES, BATCH_SIZE, SIDE, STEPS, largest_difference

from keras_maskrcnn.demo.scenes import build_scenes

RESULTS = Path(__file__).parent / "results"
PROGRAMS = Path(__file__).parent / "workers"


def run_alone(scenes: Path, folder: Path, norm: str) -> list[Path]:
    """Results of one process."""
    folder.mkdir()
    result = folder / "alone.npz"
    _wait([_start([sys.executable, PROGRAMS / "joint_training.py"], scenes, result, norm)])
    return [result]


def run_workers(scenes: Path, folder: Path, norm: str) -> list[Path]:
    """Results of two processes by `TF_CONFIG`."""
    folder.mkdir()
    with socket.socket() as first, socket.socket() as second:
        for item in (first, second):
            item.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{item.getsockname()[1]}" for item in (first, second)]
    results, processes = [], []
    for index in range(2):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        results.append(folder / f"worker{index}.npz")
        command = [sys.executable, PROGRAMS / "joint_training.py"]
        processes.append(_start(command, scenes, results[-1], norm, TF_CONFIG=json.dumps(task)))
    _wait(processes)
    return results


def run_ray(python: Path, scenes: Path, folder: Path, norm: str) -> list[Path]:
    """Results of two workers of Ray Train."""
    _wait([_start([python, PROGRAMS / "ray_training.py"], scenes, folder, norm)])
    return [folder / f"worker{rank}.npz" for rank in range(2)]


def _start(
    command: list[str | Path], scenes: Path, result: Path, norm: str, **variables: str
) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).resolve().parents[1])
    paths = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "RAY_USAGE_STATS_ENABLED": "0"}
    return subprocess.Popen(
        [*command, scenes, result, "--norm", norm],
        env={**environment, "PYTHONPATH": paths, **variables},
    )


def _wait(processes: list[subprocess.Popen[bytes]]) -> None:
    codes = [process.wait() for process in processes]
    if any(codes):
        raise RuntimeError(f"A process of training ended with {codes}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ray", type=Path, help="a Python with ray[train] and this package")
    options = parser.parse_args()
    cases = {"one process, whole batch": run_alone, "two workers, `TF_CONFIG`": run_workers}
    if options.ray is not None:

        def ray_case(*rest: object) -> list[Path]:
            return run_ray(options.ray, *rest)

        cases["two workers, Ray Train"] = ray_case
    losses = " | ".join(f"loss {step}" for step in range(1, STEPS + 1))
    lines = [
        f"| norm | case | {losses} | largest difference of a weight | step, s | all, s |",
        "| :-- | :-- |" + " --: |" * (STEPS + 3),
    ]
    print("\n".join(lines), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        scenes = build_scenes(Path(temporary) / "scenes", train=9, val=1, size=SIDE)
        for norm in BACKBONES:
            alone: Path | None = None
            for number, (case, run) in enumerate(cases.items()):
                start = time.perf_counter()
                results = run(scenes, Path(temporary) / f"{norm}{number}", norm)
                seconds = time.perf_counter() - start
                alone = alone or results[0]
                with np.load(results[0]) as file:
                    values = [f"{loss:.6f}" for loss in file["losses"]]
                    step = statistics.median(file["seconds"][1:])
                most = max(largest_difference(alone, result) for result in results)
                cells = [norm, case, *values, f"{most:.1e}", f"{step:.2f}", f"{seconds:.0f}"]
                lines.append(f"| {' | '.join(cells)} |")
                print(lines[-1], flush=True)
    about = (
        f"{describe_machine()}\n\nMade by `benchmarks/two_workers.py`: {STEPS} steps of "
        f"{BATCH_SIZE} pictures of {SIDE} x {SIDE} pixels, ResNet-18 (with `sync_batch` its last "
        "stage trains, and the mask head has such norms too), samplers without chance. `step` is "
        "the median without the first, `all` the whole processes with their start. Other programs "
        "used the same cores: the times compare nothing."
    )
    if options.ray is not None:
        about += f" {_ray_version(options.ray)}."
    RESULTS.mkdir(exist_ok=True)
    table = "\n".join(lines)
    (RESULTS / "two_workers.md").write_text(f"{about}\n\n{table}\n", encoding="utf-8")


def _ray_version(python: Path) -> str:
    words = [python, "-c", "import importlib.metadata as m; print('Ray', m.version('ray'))"]
    return subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
