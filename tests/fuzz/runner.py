"""Runs cases in child processes, watches them, and starts anew after one that died."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from process_memory import status_bytes

from fuzz.verdicts import BAD, CRASH, HANG, MEMORY, MEMORY_LIMIT

# How many make a full run, and a small one for the suite.
KINDS = {
    "annotations": (2000, 100),
    "pictures": (300, 30),
    "weights": (400, 40),
    "http": (500, 20),
}

# Seconds. A case takes some milliseconds: these are for a machine with much else to do.
_CASE_LIMIT = 60.0
_START_LIMIT = 300.0
# A process that grows on is ended here, before the machine suffers.
_KILL_BYTES = 3_000_000_000
# TensorFlow's, on every start.
_NOTES = re.compile(r"[IWE]0000|WARNING: All log")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Args:
        number: of the case.
        kind: the verdict's.
        detail: what was mutated, and what came of it.
        seconds: that it took.
    """

    number: int
    kind: str
    detail: str
    seconds: float = 0.0

    @property
    def bad(self) -> bool:
        return self.kind in BAD


@dataclasses.dataclass
class Run:
    """All outcomes of one kind of case.

    Args:
        kind: of `KINDS`.
        outcomes: one for each case.
        peak: bytes, the most that a process held.
    """

    kind: str
    outcomes: list[Outcome] = dataclasses.field(default_factory=list)
    peak: int = 0

    @property
    def failures(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.bad]


def run_cases(
    kind: str,
    numbers: Sequence[int],
    *,
    keep: Path | None = None,
    tell: Callable[[Outcome], None] = lambda outcome: None,
) -> Run:
    """Runs cases, each in a process that the next share until one ends it.

    Args:
        kind: of `KINDS`.
        numbers: of the cases.
        keep: folder in which the files stay; by default they are removed.
        tell: called with each outcome.
    """
    run, left = Run(kind), list(numbers)
    while left:
        folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{kind}-", dir=keep))
        try:
            with _Child(kind, folder, left) as child:
                for outcome in child.outcomes():
                    left.remove(outcome.number)
                    run.outcomes.append(outcome)
                    tell(outcome)
                run.peak = max(run.peak, child.peak)
        finally:
            if keep is None:
                shutil.rmtree(folder, ignore_errors=True)
    return run


class _Child:
    """A worker, and what it says."""

    def __init__(self, kind: str, folder: Path, numbers: Sequence[int]) -> None:
        tests = Path(__file__).resolve().parents[1]
        paths = [tests, tests / "support", tests.parent, os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(map(str, filter(None, paths))),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        files = folder / "files"
        files.mkdir()
        self.peak = 0
        self._read = b""
        self._answers, answers = os.pipe()
        self._log = folder / "log.txt"
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "fuzz.worker", kind, str(files), *map(str, numbers)],
                stdin=subprocess.DEVNULL,
                stdout=answers,
                stderr=log,
                env=environment,
                # A group of its own: the server that it may have started ends with it.
                start_new_session=True,
            )
        os.close(answers)

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: Any) -> None:
        self.kill()
        os.close(self._answers)

    def kill(self) -> None:
        """Ends the worker, where it has not ended by itself, and what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def outcomes(self) -> Any:
        """Yields outcomes until all cases are through, or one has ended the process.

        Raises:
            RuntimeError: when the worker fails between cases, which is a fault of the fuzz.
        """
        current: int | None = None
        what = ""
        while True:
            message = self._next(_START_LIMIT if current is None else _CASE_LIMIT)
            if isinstance(message, str):
                words = self._last_words()
                self.kill()
                if current is not None:
                    yield Outcome(current, message, f"{what}: {words}")
                elif self._process.returncode != 0:
                    raise RuntimeError(f"the worker failed, {message}: {words}")
                return
            if "begins" in message:
                current, what = message["begins"], message["what"]
            elif "ends" in message:
                current = None
                self.peak = max(self.peak, message["peak"])
                kind = message["kind"]
                detail = ": ".join(filter(None, (what, message["detail"])))
                grown = message["peak"] > MEMORY_LIMIT
                if grown and kind not in BAD:
                    kind, detail = MEMORY, f"{what}: {message['peak'] / 1e9:.1f} GB"
                yield Outcome(message["ends"], kind, detail, message["seconds"])
                if grown:  # What comes after it is measured in a process of its own.
                    return

    def _next(self, limit: float) -> dict[str, Any] | str:
        """The next message; or how the process ended: `CRASH`, `HANG` or `MEMORY`."""
        until = time.monotonic() + limit
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            while b"\n" not in self._read:
                if selector.select(0.05):
                    part = os.read(self._answers, 1 << 16)
                    if not part:
                        with contextlib.suppress(subprocess.TimeoutExpired):
                            self._process.wait(30)
                        return CRASH
                    self._read += part
                    continue
                held = status_bytes("VmRSS", self._process.pid)
                self.peak = max(self.peak, held)
                if held > _KILL_BYTES:
                    return MEMORY
                if time.monotonic() > until:
                    return HANG
        line, _, self._read = self._read.partition(b"\n")
        return json.loads(line)

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        told = [line for line in lines if not _NOTES.match(line)]
        peak = f"{self.peak / 1e9:.1f} GB"
        return f"exit status {self._process.poll()}, {peak}: {' | '.join(told[:8] + told[8:][-4:])}"
