"""Mutations of a JSON document that keep most of it in order."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

# A mark in the document, and the text that takes its place: what `json.dumps` does not write.
RAW = {
    "@raw:ten_to_400@": "1" + 400 * "0",
    "@raw:digits@": 5000 * "9",
    "@raw:exponent@": "1e999",
    "@raw:deep@": 100_000 * "[" + 100_000 * "]",
    "@raw:surrogate@": '"\\ud800"',
    "@raw:nothing@": "",
    "@raw:word@": "undefined",
}

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 0.5, -0.0, 1.0, 1e-30, 1e30, -1e30, 1e308, 4e38),
    *(2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, float("nan"), float("inf")),
    *("", "0", "1", "false", "12", "nan", "\0", "ü" * 200, "x" * 100_000, "[1, 2, 3, 4]"),
    *([], {}, [[]], [None], [1, 2, 3, 4], [[1, 2], [3, 4]], {"a": 1}, {"size": [1, 1]}),
    *RAW,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value within a document, without the document's own."""
    if path:
        yield path
    children: Any = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    for key, child in children:
        yield from places(child, (*path, key))


def parent_of(document: Any, path: tuple[Any, ...]) -> Any:
    """What holds the value at a path."""
    for key in path[:-1]:
        document = document[key]
    return document


def mutate_document(rng: random.Random, document: Any, hostile: dict[str, tuple]) -> str:
    """Changes one place of a document.

    Args:
        rng: to draw from.
        document: changed in place.
        hostile: values made for the key of that name.

    Returns:
        What was done.
    """
    everywhere = list(places(document))
    if not everywhere:  # all of it went before
        return "nothing"
    keyed = [path for path in everywhere if path[-1] in hostile]
    # Most of a document is coordinates; half of the time a place with a name is taken.
    path = rng.choice(keyed if keyed and rng.random() < 0.6 else everywhere)
    holder, key = parent_of(document, path), path[-1]
    where = "/".join(map(str, path))
    action = rng.choice(("set", "set", "set", "delete", "double", "exchange", "wrap"))
    if action == "set":
        special = hostile.get(key, ())
        value = rng.choice(special if special and rng.random() < 0.7 else VALUES)
        holder[key] = copy.deepcopy(value)
        return f"{where} = {json.dumps(value)[:60]}"
    if action == "delete":
        del holder[key]
    elif action == "double":
        if isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        else:
            holder[f"{key} "] = holder[key]
    elif action == "exchange":
        other = rng.choice(everywhere)
        holder[key] = copy.deepcopy(parent_of(document, other)[other[-1]])
        return f"{where} = that of {'/'.join(map(str, other))}"
    else:
        holder[key] = [holder[key]]
    return f"{action} {where}"


def write(document: Any) -> str:
    """As JSON text, marks replaced."""
    text = json.dumps(document)
    for mark, raw in RAW.items():
        text = text.replace(json.dumps(mark), raw)
    return text
