"""Reads JSON that nobody vouches for."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any


class RepeatedKeys(dict[str, Any]):
    """A JSON object in which a key stands more than once, so that it says two things.

    Attributes:
        repeated: the keys; the object holds the last value of each.
    """

    repeated: list[str]


def read_json(file: Path) -> Any:
    """Reads a JSON file.

    An integer of more digits than Python converts (4,300) becomes an infinite float: what it
    belongs to is then refused, and not the file.

    Args:
        file: path of the file.

    Returns:
        What it holds; `RepeatedKeys` for an object with a key that stands more than once.

    Raises:
        ValueError: if the file is missing, no JSON, or nested too deeply; the message names it.
    """
    if not file.is_file():
        raise ValueError(f"Expected a JSON file. Received: {file}")
    try:
        return _parse(file.read_bytes())
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{file} is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno} "
            f"(character {error.pos})"
        ) from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not valid JSON: {error}") from error
    except RecursionError as error:
        raise ValueError(
            f"{file}: expected lists and objects within each other a few levels deep. "
            "Received: more levels than can be read"
        ) from error


def _parse(content: bytes) -> Any:
    try:
        return json.loads(content, object_pairs_hook=_object)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError:
        # Too many digits. Only then, since a function of ours for each integer takes its time.
        return json.loads(content, object_pairs_hook=_object, parse_int=as_integer)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entry = dict(pairs)
    if len(entry) == len(pairs):
        return entry
    repeated = RepeatedKeys(entry)
    counts = Counter(key for key, _ in pairs)
    repeated.repeated = [key for key, count in counts.items() if count > 1]
    return repeated


def as_integer(digits: str) -> float:
    """An integer; of too many digits infinity."""
    try:
        return int(digits)
    except ValueError:
        return float(digits)
