"""Trainings that are compared: each a process of its own, kept in a file when it ends.

A line of JSON in the file is a run; one that is there is not run again, so that a series goes on
where it was stopped.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

Run = dict[str, Any]


def run_series(
    script: str,
    runs: Iterable[Run],
    output: Path,
    train: Callable[[Run], Run],
    table: Callable[[list[Run]], str],
    *,
    jobs: int = 1,
) -> None:
    """Carries out what has not been, and prints the table after each.

    The process that calls this calls the script with its own arguments for each run; there, what
    `--run` says is trained.

    Args:
        script: the caller's file.
        runs: what tells one run from another, in their order.
        output: the file of results.
        train: from what tells a run to its numbers.
        table: of all runs that have ended.
        jobs: runs at a time: on a GPU, which one small model leaves idle most of the time.

    Raises:
        RuntimeError: when a run fails, after the others.
    """
    if "--run" in sys.argv:
        run = json.loads(sys.argv[sys.argv.index("--run") + 1])
        found = {**run, **train(run)}
        with output.open("a") as file:
            file.write(json.dumps(found) + "\n")
        return
    missing = [run for run in runs if not any(run.items() <= x.items() for x in read_runs(output))]

    # What draws figures may be one thread at a time.
    showing = threading.Lock()

    def carry_out(run: Run) -> int:
        command = [sys.executable, script, *sys.argv[1:], "--run", json.dumps(run)]
        code = subprocess.run(command, check=False).returncode
        with showing:
            print(table(read_runs(output)), flush=True)
        return code

    with ThreadPoolExecutor(jobs) as pool:
        codes = list(pool.map(carry_out, missing))
    failed = [run for run, code in zip(missing, codes, strict=True) if code]
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(missing)} runs failed: {failed}")
    print(table(read_runs(output)))


def read_runs(path: Path) -> list[Run]:
    """The runs that have ended."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def mean_and_range(values: Iterable[float]) -> str:
    """Percentages, such as `"31.5 (30.9 to 32.2)"`."""
    found = 100 * np.array(list(values))
    return f"{found.mean():.1f} ({found.min():.1f} to {found.max():.1f})"
