"""What several processes of a run of the suite need, and the first of them makes."""

from __future__ import annotations

import fcntl
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

# Names a folder that lasts as long as the run.
RUN_FOLDER = "SUITE_RUN_FOLDER"

T = TypeVar("T")


def made_once(name: str, make: Callable[[Path], T], temporary: pytest.TempPathFactory) -> T:
    """What a function makes in an empty folder; of a run of the suite, the first call alone.

    Args:
        name: of the folder, the same in all processes.
        make: receives the folder, which is shared: who gets the result must not change it. What it
            returns can be pickled.
        temporary: pytest's, for a process that is no part of such a run.
    """
    run_folder = os.environ.get(RUN_FOLDER)
    if run_folder is None:
        return make(temporary.mktemp(name))
    folder = Path(run_folder, name)
    result = folder.with_suffix(".pickle")
    with open(folder.with_suffix(".lock"), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            folder.mkdir()
            partial = result.with_suffix(".partial")
            partial.write_bytes(pickle.dumps(make(folder)))
            partial.rename(result)
    return pickle.loads(result.read_bytes())
