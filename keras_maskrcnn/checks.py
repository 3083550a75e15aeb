"""Checks of settings, each with one wording."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


def one_of(name: str, value: Any, allowed: Sequence[Any]) -> None:
    """`ValueError` unless `value` is one of `allowed`; the nearest right one is named."""
    if value not in allowed:
        raise ValueError(
            f"{name} must be one of {tuple(allowed)}.{nearest(value, allowed)} "
            f"Received: {name}={value!r}"
        )


def at_least(minimum: float, **values: Any) -> None:
    """`ValueError` unless each value is a number from `minimum` on."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= minimum:
            raise ValueError(f"{name} must be at least {minimum}. Received: {name}={value!r}")


def fraction(**values: Any) -> None:
    """`ValueError` unless each value is a number in 0..1."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ValueError(f"{name} must be in 0..1. Received: {name}={value!r}")


def known_names(what: str, names: Iterable[str], known: Sequence[str]) -> None:
    """`ValueError` for the first of `names` that is not `known`, with the nearest that is."""
    for name in names:
        if name not in known:
            raise ValueError(
                f"{what} has no setting {name!r}.{nearest(name, known)} "
                f"Its settings are {', '.join(known)}. Received: {name}"
            )


def nearest(name: Any, known: Sequence[Any]) -> str:
    """` Did you mean 'samples'?`, or nothing where no known name is near."""
    found = difflib.get_close_matches(str(name), [str(k) for k in known], n=1)
    return f" Did you mean {found[0]!r}?" if found else ""


def check_shape(name: str, value: np.ndarray, expected: tuple[int | str, ...]) -> None:
    """Raises `ValueError` for another shape; sides given as a name may have any length."""
    sides = zip(value.shape, expected, strict=False)
    if value.ndim != len(expected) or any(a != b for a, b in sides if isinstance(b, int)):
        raise ValueError(
            f"{name} of a batch must have the shape ({', '.join(map(str, expected))}). "
            f"Received: {name} of shape {value.shape}"
        )
