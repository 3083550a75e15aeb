"""Cases that end badly, each in its own way: for the test of the runner."""

from __future__ import annotations

import ctypes
import time

from fuzz.fuzzer import Fuzzer
from fuzz.verdicts import ACCEPTED, SilentError, UnclearError

ENDS = (
    *("dies", "is well", "waits for ever", "takes memory"),
    *("takes memory without end", "loses something", "does not help", "fails otherwise"),
)


class BadEnds(Fuzzer):
    """The ends of `ENDS`, by number."""

    def make(self, number: int) -> tuple[str, str]:
        return ENDS[number], ENDS[number]

    def judge(self, number: int, case: str) -> str:
        if case == "dies":
            ctypes.string_at(0)
        elif case == "waits for ever":
            time.sleep(1000)
        elif case == "takes memory":
            bytearray(400_000_000)
        elif case == "takes memory without end":
            held = []
            while True:
                held.append(bytearray(100_000_000))
                time.sleep(0.1)
        elif case == "loses something":
            raise SilentError("nothing is left")
        elif case == "does not help":
            raise UnclearError("of no use")
        elif case == "fails otherwise":
            raise KeyError("key")
        return ACCEPTED


FUZZER = BadEnds
