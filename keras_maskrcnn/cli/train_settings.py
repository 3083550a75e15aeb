"""Which settings the model of `maskrcnn train` has, told before TensorFlow is imported."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from keras_maskrcnn.cli.options import is_preset
from keras_maskrcnn.cli.train_choices import is_own_model, model_settings
from keras_maskrcnn.models.saved import model_file, saved_arguments
from keras_maskrcnn.names import MODEL_SETTINGS, PART_SETTINGS

# Those of which a model has one.
_PARTS = tuple(kind for kind in PART_SETTINGS if kind != "heads")
# Of each kind of part, the one that is taken where none is named.
_DEFAULTS = {
    "backbone": "resnet50",
    "neck": "fpn",
    "rpn": "rpn",
    "box": "box",
    "pooler": "roi_align",
    "heads": "mask",
}


def check_settings(args: argparse.Namespace) -> None:
    """Makes sure that the model has all parts and settings that are given.

    Args:
        args: of `maskrcnn train`, complete.

    Raises:
        ValueError: for a part that there is not, or a setting that the chosen part does not have;
            the nearest name is told.
    """
    from keras_maskrcnn.checks import nearest
    from keras_maskrcnn.models.settings import merge_arguments

    given = model_settings(args)
    for name in given:
        if "." not in name and name not in MODEL_SETTINGS:
            raise ValueError(
                f"--set has no setting {name!r}.{nearest(name, MODEL_SETTINGS)} Its settings are "
                f"{', '.join(MODEL_SETTINGS)}, and PART.SETTING for {', '.join(_PARTS)} and the "
                f"heads. Received: {name}"
            )
    if not isinstance(given.get("heads", []), list):
        raise ValueError(
            'Expected heads as a JSON list, such as \'heads=["mask", "keypoint"]\'. '
            f"Received: --set heads={given['heads']}"
        )
    base, table = _begin(args)
    chosen = dict(_chosen(merge_arguments(base, given), table))
    for place, setting in _single(given):
        if place not in chosen:  # Of a head that a later --set heads=[...] leaves out.
            raise ValueError(
                f"a setting is named PART.SETTING, PART one of {tuple(chosen)}. "
                f"Received: --set {place}.{setting}"
            )
        name, kind = chosen[place], place if place in _PARTS else "heads"
        settings = table[kind][name]
        if setting not in settings:
            title = name if name == place else f"{place} {name}"
            raise ValueError(
                f"{title} has no setting {setting!r}.{nearest(setting, settings)} Its settings are "
                f"{', '.join(settings)}. Received: --set {place}.{setting}"
            )


# Settings of parts by kind and name.
_Table = dict[str, dict[str, tuple[str, ...]]]


def _begin(args: argparse.Namespace) -> tuple[dict[str, Any], _Table]:
    """The arguments over which settings are laid, and the parts that can be chosen.

    The parts of a trained model count by their saved settings: they may be of no kind known here.
    """
    table = {kind: dict(parts) for kind, parts in PART_SETTINGS.items()}
    if is_preset(args.weights):
        from keras_maskrcnn.models.presets import get_preset

        return dict(get_preset(args.weights).arguments), table
    if not is_own_model(args.weights):
        return {"backbone": args.backbone}, table
    saved = saved_arguments(model_file(args.weights))
    heads = saved.pop("heads", [])
    base: dict[str, Any] = {"heads": []}
    for kind, part in [*saved.items(), *(("heads", head) for head in heads)]:
        if kind not in table:
            continue
        if isinstance(part, Mapping) and "class_name" in part:
            name = part["config"].get("name", part["class_name"])
            table[kind][name] = tuple(sorted({*part["config"], "name"}))
            part = {"name": name}
        if kind == "heads":
            base["heads"].append(part)
        else:
            base[kind] = part
    return base, table


def _chosen(arguments: Mapping[str, Any], table: _Table) -> Iterator[tuple[str, str]]:
    """Of each part, how settings call it before their dot, and its name."""
    from keras_maskrcnn.checks import one_of

    heads = arguments.get("heads", [_DEFAULTS["heads"]])
    for kind, choice in [*((k, arguments.get(k)) for k in _PARTS), *(("heads", h) for h in heads)]:
        name = choice.get("name") if isinstance(choice, Mapping) else choice
        name = _DEFAULTS[kind] if name is None else name
        one_of("head" if kind == "heads" else kind, name, tuple(table[kind]))
        yield name if kind == "heads" else kind, name


def _single(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each setting of a part that is given, with its part: alone, or in an object of several."""
    for name, value in given.items():
        place, dot, setting = name.partition(".")
        if dot:
            yield place, setting
        elif place in _PARTS and isinstance(value, Mapping):
            yield from ((place, key) for key in value)
        elif place == "heads":
            heads = [head for head in value if isinstance(head, Mapping)]
            yield from (
                (head.get("name", _DEFAULTS["heads"]), key) for head in heads for key in head
            )
