"""How a reader reports what it had to leave out."""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

NAMED_IN_SUMMARY = 3

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxdict = 3, 6, 6
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 60
_LONGEST = 200


class ItemError(ValueError):
    """An item that cannot be used; the message is the reason.

    Args:
        reason: is counted, so it must not hold what differs from item to item.
        details: what does.
    """

    def __init__(self, reason: str, details: str = "") -> None:
        super().__init__(reason)
        self.details = details


class MissingPictureError(ItemError):
    """There is no picture of that name."""


class Problems:
    """Collects what was left out, or changed: a line per item, a count per reason.

    Args:
        file: what is read or written, for `summary`.

    Attributes:
        lines: the item, the reason and its details.
        reasons: how often each occurs.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lines: list[str] = []
        self.reasons: Counter[str] = Counter()
        self._line_of: dict[str, int] = {}

    def add(self, item: str, problem: ItemError) -> None:
        """Notes why an item was left out."""
        self._line_of[item] = len(self.lines)
        self.lines.append(f"{item}: {problem}{problem.details}")
        self.reasons[str(problem)] += 1

    def extend(self, item: str, text: str) -> None:
        """Adds to the line of an item."""
        self.lines[self._line_of[item]] += text

    def summary(self) -> str:
        """One line: the count of each reason, and the first few items."""
        counts = ", ".join(f"{count} x {reason}" for reason, count in self.reasons.most_common())
        named = "; ".join(self.lines[:NAMED_IN_SUMMARY])
        more = len(self.lines) - NAMED_IN_SUMMARY
        rest = f"; and {more} more" if more > 0 else ""
        return f"{self.file}: left out {len(self.lines)} items ({counts}): {named}{rest}"


def count_reasons(lines: Sequence[str], reasons: Mapping[str, int]) -> list[str]:
    """A line for each reason: how often it occurs, and its first item.

    Args:
        lines, reasons: those of `Problems`.
    """
    counted = []
    for reason, count in reasons.items():
        parts = (line.partition(f": {reason}") for line in lines)
        first = next(item for item, found, _ in parts if found)
        counted.append(f"  {count} x {reason} (first: {first})")
    return counted


def shown(value: Any) -> str:
    """A value of a file for a message: short, on one line, however long or deep it is."""
    if isinstance(value, str) and len(value) <= _LONGEST and value.isprintable():
        return value
    text = _SHORT.repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def require_unique(values: list[Any], what: str, file: Path) -> None:
    """`ValueError` that names those of a file's values which stand more than once."""
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        named = ", ".join(shown(value) for value in twice[:NAMED_IN_SUMMARY])
        raise ValueError(f"{file}: {len(twice)} {what} occur more than once: {named}")
