"""What a kind of case owes."""

from __future__ import annotations

import abc
from pathlib import Path
from typing import Any


class Fuzzer(abc.ABC):
    """Makes the cases of one kind, and judges what becomes of them.

    Args:
        folder: empty; for files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abc.abstractmethod
    def make(self, number: int) -> tuple[Any, str]:
        """The case of that number, always the same, and what is wrong with it."""

    @abc.abstractmethod
    def judge(self, number: int, case: Any) -> str:
        """Gives the case to the library.

        Returns:
            One of the good ends of `verdicts`.

        Raises:
            SilentError: when something passed that should not have, or was lost.
            UnclearError: when an error or a message does not help.
        """

    def peak(self) -> int:
        """Bytes, the most that other processes held which this one started."""
        return 0

    def close(self) -> None:  # noqa: B027 (most start nothing)
        """Ends what was started."""
