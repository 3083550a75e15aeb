"""A model's arguments: changed by dotted names, merged, told apart from mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_maskrcnn.checks import nearest

# Arguments that choose a part: a name, a dict of settings, or an object.
PARTS = ("backbone", "neck", "rpn", "box", "pooler")


def merge_arguments(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `MaskRCNN`, changed.

    Where both say settings of the same part, the changes are laid over them; with another name
    they take their place. Dotted names change single settings: `rpn.samples`, `mask.dim`.

    Args:
        base: arguments, parts as names or dicts.
        changes: arguments, or dotted names.

    Raises:
        ValueError: for a dotted name whose part the model does not have.
    """
    merged = dict(base)
    for name, value in changes.items():
        if "." in name:
            merged = _with_setting(merged, name, value)
        elif name in PARTS:
            merged[name] = _merge_part(merged.get(name), value)
        else:
            merged[name] = value
    return merged


def _merge_part(base: Any, change: Any) -> Any:
    if not isinstance(base, str | Mapping) or not isinstance(change, str | Mapping):
        return base if change is None else change
    old = {"name": base} if isinstance(base, str) else dict(base)
    new = {"name": change} if isinstance(change, str) else dict(change)
    if new.get("name", old.get("name")) != old.get("name") and not _same_family(old, new):
        return new
    return {**old, **new}


def _same_family(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """ResNets differ in their name only, and RegNets: what is said of one holds for another."""
    names = [str(part.get("name")) for part in (old, new)]
    return any(all(family in name for name in names) for family in ("resne", "regnet"))


def _with_setting(arguments: dict[str, Any], dotted: str, value: Any) -> dict[str, Any]:
    part, _, setting = dotted.partition(".")
    if part in PARTS:
        return {**arguments, part: _merge_part(_as_dict(arguments.get(part)), {setting: value})}
    heads = [_as_dict(head) for head in arguments.get("heads", ("mask",))]
    names = [head.get("name") if isinstance(head, Mapping) else head.name for head in heads]
    if part not in names:
        raise ValueError(
            f"a setting is named PART.SETTING, PART one of {(*PARTS, *names)}."
            f"{nearest(part, (*PARTS, *names))} Received: {dotted}"
        )
    place = names.index(part)
    heads[place] = _merge_part(heads[place], {setting: value})
    return {**arguments, "heads": tuple(heads)}


def _as_dict(choice: Any) -> Any:
    if choice is None:
        return {}
    return {"name": choice} if isinstance(choice, str) else choice
