"""Numbers that a file holds as words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from keras_maskrcnn.data.formats.problems import ItemError, shown


def words_as_floats(words: Sequence[str | None], what: str) -> list[float]:
    """Finite numbers; `ItemError` that says of what they are, for any other word."""
    try:
        numbers = list(map(float, words))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ItemError(f"{what}: a word is no number", f" ({shown(list(words))})") from None
    if not math.isfinite(sum(numbers)):
        raise ItemError(f"{what}: a number is not finite", f" ({shown(list(words))})")
    return numbers


def words_as_integers(words: Sequence[str | None], what: str) -> list[int]:
    """Integers; those with a point, such as `12.0`, count too."""
    try:
        return list(map(int, words))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        numbers = words_as_floats(words, what)
    if not all(number.is_integer() for number in numbers):
        raise ItemError(f"{what}: a number is no integer", f" ({shown(list(words))})")
    return list(map(int, numbers))
