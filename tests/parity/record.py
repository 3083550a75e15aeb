"""What is held against a recording, and by how much it may differ."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Check:
    """One line of the parity table.

    Args:
        file: the golden file.
        quantity: what is compared.
        difference: the largest found.
        tolerance: up to which it may go; `None` for a difference that is meant, see `note`.
        unit: `"relative"`: to the largest recorded value; `"absolute"`; `"px"`; or `"unequal"`:
            how many indices or pixels are not equal.
        note: why there is a difference that is meant.
    """

    file: str
    quantity: str
    difference: float
    tolerance: float | None
    unit: str
    note: str = ""

    @property
    def holds(self) -> bool:
        return self.tolerance is None or self.difference <= self.tolerance

    def __str__(self) -> str:
        tolerance = "meant" if self.tolerance is None else f"{self.tolerance:.3g}"
        largest = f"{self.difference:.0f}" if self.unit == "unequal" else f"{self.difference:.2g}"
        line = (
            f"{self.file:<21} {self.quantity:<52} {largest:>9} {tolerance:>7}"
            f" {self.unit:<8} {'holds' if self.holds else 'FAILS'}"
        )
        return f"{line}  ({self.note})" if self.note else line


HEADER = f"{'golden file':<21} {'quantity':<52} {'largest':>9} {'allowed':>7} {'unit':<8}"


class Record:
    """Collects the checks of one golden file.

    Args:
        file: its name.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.checks: list[Check] = []

    def relative(
        self, quantity: str, ours: Any, theirs: Any, tolerance: float = 1e-5, scale: float = 0.0
    ) -> None:
        """Differences over the largest recorded value, or over `scale` where that is larger."""
        ours, theirs = _pair(quantity, ours, theirs)
        scale = max(float(np.abs(theirs).max(initial=0.0)), scale)
        self._add(quantity, _largest(ours, theirs) / (scale or 1.0), tolerance, "relative")

    def absolute(
        self, quantity: str, ours: Any, theirs: Any, tolerance: float, unit: str = "absolute"
    ) -> None:
        ours, theirs = _pair(quantity, ours, theirs)
        self._add(quantity, _largest(ours, theirs), tolerance, unit)

    def equal(self, quantity: str, ours: Any, theirs: Any) -> None:
        """Indices, labels, bits."""
        ours, theirs = np.asarray(ours), np.asarray(theirs)
        if ours.shape == theirs.shape:
            unequal = float((ours != theirs).sum())
        else:  # lists of unlike length
            unequal = float(max(ours.size, theirs.size))
        self._add(quantity, unequal, 0.0, "unequal")

    def meant(self, quantity: str, difference: float, unit: str, note: str) -> None:
        """A difference that is meant, for the reason in `note`."""
        self.checks.append(Check(self.file, quantity, float(difference), None, unit, note))

    def _add(self, quantity: str, difference: float, tolerance: float, unit: str) -> None:
        self.checks.append(Check(self.file, quantity, difference, tolerance, unit))


def _pair(quantity: str, ours: Any, theirs: Any) -> tuple[np.ndarray, np.ndarray]:
    ours, theirs = np.asarray(ours, "float64"), np.asarray(theirs, "float64")
    if not theirs.size:
        raise ValueError(f"{quantity}: nothing was recorded, so nothing can differ")
    if ours.shape != theirs.shape:
        raise ValueError(f"{quantity}: shape {ours.shape} where {theirs.shape} was recorded")
    return ours, theirs


def _largest(ours: np.ndarray, theirs: np.ndarray) -> float:
    difference = np.abs(ours - theirs)
    return float("inf") if np.isnan(difference).any() else float(difference.max(initial=0.0))


def match(
    ours: np.ndarray,
    recorded: np.ndarray,
    labels: np.ndarray | None = None,
    recorded_labels: np.ndarray | None = None,
) -> np.ndarray:
    """For each recorded row our nearest one of the same label: its index.

    Ranks may differ, since scores lie closer together than float32 computes them.

    Args:
        ours: `[n, c]` boxes, or boxes and scores where boxes alone may be equal.
        recorded: `[m, c]`.
        labels: `[n]`.
        recorded_labels: `[m]`.
    """
    distance = np.abs(recorded[:, None] - ours[None]).max(axis=-1)
    if labels is not None and recorded_labels is not None:
        distance[recorded_labels[:, None] != labels[None]] = np.inf
    return distance.argmin(axis=1)
