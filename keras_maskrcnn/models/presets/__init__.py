"""Published models: how each is built, and where its weights come from. A file each publisher."""

from __future__ import annotations

import types
from collections.abc import Mapping

from keras_maskrcnn.checks import nearest
from keras_maskrcnn.models.presets.detectron2 import DETECTRON2
from keras_maskrcnn.models.presets.matterport import MATTERPORT
from keras_maskrcnn.models.presets.preset import Preset
from keras_maskrcnn.models.presets.table import PresetTable
from keras_maskrcnn.models.presets.torchvision import TORCHVISION

__all__ = ["PRESETS", "Preset", "PresetTable", "get_preset"]

PRESETS: Mapping[str, Preset] = types.MappingProxyType(
    {preset.name: preset for preset in (*TORCHVISION, *DETECTRON2, *MATTERPORT)}
)


def get_preset(name: str) -> Preset:
    """The preset of that name; `ValueError` with all names for an unknown one."""
    if name not in PRESETS:
        raise ValueError(
            f"unknown preset; known are {', '.join(PRESETS)}.{nearest(name, list(PRESETS))} "
            f"Received: name={name!r}"
        )
    return PRESETS[name]
