"""Runs cases of one kind in a process of its own, which may die of them.

python -m fuzz.worker KIND FOLDER NUMBER...

Writes to standard output `ready`, and a JSON line when a case begins and when it ends.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any, TextIO

from process_memory import status_bytes

from fuzz.fuzzer import Fuzzer
from fuzz.verdicts import SILENT, UNCLEAR, SilentError, UnclearError


def main(kind: str, folder: str, *numbers: str) -> None:
    """Runs the cases in turn."""
    faulthandler.enable()
    # What the library prints by mistake must not pass for an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    fuzzer: Fuzzer = importlib.import_module(f"fuzz.{kind}").FUZZER(Path(folder))
    _say(answers, {"ready": True})
    for number in map(int, numbers):
        start = time.monotonic()
        case, what = fuzzer.make(number)
        _say(answers, {"begins": number, "what": what})
        kind, detail = _judge(fuzzer, number, case)
        _say(
            answers,
            {
                "ends": number,
                "kind": kind,
                "detail": detail,
                "seconds": time.monotonic() - start,
                "peak": max(status_bytes("VmHWM"), fuzzer.peak()),
            },
        )
    fuzzer.close()


def _judge(fuzzer: Fuzzer, number: int, case: Any) -> tuple[str, str]:
    try:
        return fuzzer.judge(number, case), ""
    except SilentError as error:
        return SILENT, str(error)
    except UnclearError as error:
        return UNCLEAR, str(error)
    except Exception as error:  # ours, or one that a check met: to be looked at either way
        at = traceback.extract_tb(error.__traceback__)[-1]
        return UNCLEAR, f"{type(error).__name__} at {Path(at.filename).name}:{at.lineno}: {error}"


def _say(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
