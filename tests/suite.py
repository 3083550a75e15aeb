"""Runs the suite: two processes at a time, and a new one for each group of test files.

python tests/suite.py                       # what `make test` runs
python tests/suite.py weights export        # only the groups with these in their names
python tests/suite.py --slow parity models  # of these, the tests that are marked slow

TensorFlow keeps a part of what a traced model took until its process ends: one process for all
tests grows to six gigabytes. A folder whose tests build large models has a process for each file.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from support.made_once import RUN_FOLDER

TESTS = Path(__file__).resolve().parent
PROCESSES = 2
MEMORY_LIMIT_MB = 3000
# Folders and files, each file of which has a process of its own.
FILE_BY_FILE = (
    "parity/",
    "backbones/",
    "cli/test_main.py",
    "export/test_variants.py",
    "models/test_distribution.py",
    "models/test_presets.py",
    "test_custom_op_kernels.py",
    "weights/test_loading.py",
    "weights/test_matterport.py",
)
# Files and folders that share a process: starting TensorFlow takes seconds.
TOGETHER = {
    # Of these, what is slow starts several processes with TensorFlow, one after the other.
    "workers": (
        "cli/test_cluster.py",
        "cli/test_train_workers.py",
        "models/test_workers.py",
        "training/test_workers.py",
    ),
    # These share a trained model too, and what it takes to train it.
    "models with a trained one": ("models/test_mask_rcnn.py", "models/test_training_data.py"),
    "models in training": ("models/test_training.py",),
    "layers": ("heads/", "layers/", "necks/", "ops/", "poolers/"),
    "pictures and outlines": ("data/", "demo/", "images/", "outlines/", "preannotations/"),
    "what small tools do": (*("acceptance/", "benchmarks/", "doctor/", "evaluation/", "results/"),),
    "runs of training": ("training/",),
}
# The longest first, so that no process is left alone at the end.
FIRST = ("models", "parity", "export", "serving")
_SUMMARY = re.compile(r"^.*\d+ \w+.* in \d+\.\d+s", re.MULTILINE)
_COUNTS = re.compile(r"(\d+) (passed|failed|skipped|error)")
_PEAK = re.compile(r"^peak memory: (\d+) MB", re.MULTILINE)
_DURATION = re.compile(r"^(\d+\.\d+)s (\w+) +(\S+)", re.MULTILINE)
_SLOW = "--slow"
_NO_TESTS_SELECTED = 5
_SLOWEST_SHOWN = 8


class Result(NamedTuple):
    """How a group ended."""

    name: str
    code: int
    output: str
    seconds: float

    @property
    def counts(self) -> Counter[str]:
        """Passed, failed, skipped and so on, as pytest's last line has them."""
        last = ["", *_SUMMARY.findall(self.output)][-1]
        return Counter({word: int(number) for number, word in _COUNTS.findall(last)})

    @property
    def peak(self) -> int:
        """Most memory that its process held, in MB."""
        found = _PEAK.findall(self.output)
        return int(found[-1]) if found else 0

    @property
    def durations(self) -> list[tuple[float, str]]:
        """Seconds and names of its slowest tests, or of what is made for them."""
        found = _DURATION.findall(self.output)
        return [(float(seconds), f"{test} ({what})") for seconds, what, test in found]

    @property
    def fault(self) -> str:
        """What is wrong, in a word; empty when all is well."""
        return "" if self.code in (0, _NO_TESTS_SELECTED) else f"exit code {self.code}"

    def __str__(self) -> str:
        counts = ", ".join(f"{number} {word}" for word, number in self.counts.items())
        line = f"{self.name:32} {self.seconds:5.0f} s {self.peak:5} MB  {counts}"
        return f"{line}  {self.fault}".rstrip()


def find_groups(tests: Path) -> dict[str, list[Path]]:
    """Test files by the name of their group, in the order in which groups start."""
    groups: dict[str, list[Path]] = {}
    for path in sorted(tests.rglob("test_*.py")):
        place = path.relative_to(tests)
        is_alone = str(place).startswith(FILE_BY_FILE)
        shared = (name for name, own in TOGETHER.items() if str(place).startswith(own))
        name = next(shared, str(place if is_alone else place.parent))
        groups.setdefault(name, []).append(path)
    return dict(sorted(groups.items(), key=lambda item: not item[0].startswith(FIRST)))


def run(name: str, files: Sequence[Path], which: str, folder: str) -> Result:
    """Runs the tests of a group that have, or have not, a mark in a process of its own."""
    start = time.monotonic()
    options = ["-q", "--durations=5", "-m", which]
    command = [sys.executable, "-m", "pytest", *options, *map(str, files)]
    # Threads that wait for work keep a core busy, of which the other process has need.
    threads = max(1, len(os.sched_getaffinity(0)) // PROCESSES)
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={"TF_NUM_INTRAOP_THREADS": str(threads), RUN_FOLDER: folder, **os.environ},
    )
    return Result(name, done.returncode, done.stdout, time.monotonic() - start)


def main(wanted: Sequence[str]) -> int:
    """Prints a line per group and all of what a failed one printed; 1 when any failed."""
    start = time.monotonic()
    which = "slow" if _SLOW in wanted else "not slow"
    words = [word for word in wanted if word != _SLOW]
    groups = {
        name: files
        for name, files in find_groups(TESTS).items()
        if not words or any(word in name for word in words)
    }
    results = []
    with TemporaryDirectory() as folder, ThreadPoolExecutor(PROCESSES) as threads:
        for future in as_completed(
            [threads.submit(run, *group, which, folder) for group in groups.items()]
        ):
            results.append(result := future.result())
            print(result.output if result.fault else "", result, sep="", flush=True)
    total = sum((result.counts for result in results), Counter())
    faults = [f"{result.name} ({result.fault})" for result in results if result.fault]
    counts = ", ".join(f"{number} {word}" for word, number in total.items())
    peak = max((result.peak for result in results), default=0)
    print(f"{counts} in {time.monotonic() - start:.0f} s; peak memory of a process {peak} MB")
    for seconds, test in sorted((d for r in results for d in r.durations), reverse=True)[
        :_SLOWEST_SHOWN
    ]:
        print(f"{seconds:5.0f} s {test}")
    # Told, not failed: kernels of other processors take other amounts.
    if peak > MEMORY_LIMIT_MB:
        print(f"that is more than the {MEMORY_LIMIT_MB} MB that a process should take")
    if not total["passed"] or faults:
        print(f"FAILED: {', '.join(faults) or 'no test ran'}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
