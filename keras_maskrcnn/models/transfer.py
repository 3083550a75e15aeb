"""From a trained model to one for other classes, or with other settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_maskrcnn.backbones import BACKBONES
from keras_maskrcnn.heads import BOXES, HEADS, RPNS
from keras_maskrcnn.models.settings import PARTS, merge_arguments
from keras_maskrcnn.necks import NECKS
from keras_maskrcnn.parts import Part, Registry, restore, setting_names

_REGISTRIES = {"backbone": BACKBONES, "neck": NECKS, "rpn": RPNS, "box": BOXES}
# Of a model that was trained, not of the one to come.
_OWN = ("dtype", "name", "version")


def changed_arguments(trained: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `MaskRCNN` that make a trained model's architecture, changed.

    Args:
        trained: a `MaskRCNN`.
        changes: see `merge_arguments`; with another `num_classes`, names are dropped unless given.

    Raises:
        ValueError: for a setting of a part that has no name, as one has that is not of this
            package.
    """
    config = {name: value for name, value in trained.get_config().items() if name not in _OWN}
    parts = trained.network.parts
    base = {name: restore(value) for name, value in config.items() if name not in _REGISTRIES}
    base |= {name: _choice(registry, parts[name]) for name, registry in _REGISTRIES.items()}
    base["heads"] = tuple(_choice(HEADS, head) for head in trained.network.heads)
    for name in changes:
        place = name.partition(".")[0]
        is_setting = "." in name or (place in PARTS and isinstance(changes[name], Mapping))
        if is_setting and isinstance(parts.get(place), Part) and _is_foreign(base, place):
            raise ValueError(
                f"the settings of {parts[place]!r} cannot be changed by name: give an object as "
                f"{place!r}. Received: {name}={changes[name]!r}"
            )
    changes = dict(changes)
    if changes.get("class_names"):
        changes.setdefault("num_classes", len(changes["class_names"]))
    if changes.get("num_classes", trained.num_classes) != trained.num_classes:
        changes.setdefault("class_names", ())
    return merge_arguments(base, changes)


def has_other_classes(model: Any, trained: Any) -> bool:
    """Whether two models find different things; one without names finds what the other does."""
    names = model.given_class_names, trained.given_class_names
    return model.num_classes != trained.num_classes or (all(names) and names[0] != names[1])


def _choice(registry: Registry, part: Part) -> Any:
    """A part as the dict of settings that makes it; one that no name stands for as it is."""
    named = [name for name in registry.names if registry.find(name) is type(part)]
    settings = part.settings
    if "name" in setting_names(type(part)):
        named = [name for name in named if name == settings["name"]]
    return {**settings, "name": named[0]} if named else part


def _is_foreign(base: Mapping[str, Any], place: str) -> bool:
    choices = [base[place]] if place in base else base["heads"]
    return any(isinstance(choice, Part) for choice in choices)
