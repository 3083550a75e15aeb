"""Numbers that may not be known: nan here, null in JSON, left out of means."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_DIGITS = 6


def as_json(value: Any) -> Any:
    """Numbers, arrays of any shape and lists of these as JSON holds them, to six digits."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.{_DIGITS}g}")
    return value


def mean_of_known(values: np.ndarray, axis: int | None = None) -> Any:
    """Mean of what is not nan; nan where nothing is known."""
    known = ~np.isnan(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)[()]


def ratio(part: Any, whole: Any) -> Any:
    """Parts of wholes; nan where the whole is 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)[()]
