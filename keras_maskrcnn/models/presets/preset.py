"""What is known of a published model."""

from __future__ import annotations

import dataclasses
import re
import types
from collections.abc import Mapping
from typing import Any

from keras_maskrcnn.models.coco_classes import COCO_NAMES, COCO_NAMES_BY_ID
from keras_maskrcnn.models.presets.parameters import PARAMETERS
from keras_maskrcnn.models.settings import merge_arguments

# Classes of models that were trained on COCO: by category id, or the 80 that are used.
COCO_90: dict[str, Any] = {"num_classes": 90, "class_names": COCO_NAMES_BY_ID}
COCO_80: dict[str, Any] = {"num_classes": 80, "class_names": COCO_NAMES}
PERSON: dict[str, Any] = {"num_classes": 1, "class_names": ("person",)}


# How long detectron2 trained a model; three times its basic schedule where nothing is said.
_SCHEDULE = re.compile(r"_(1x|\d+ep)(?=_|$)")


@dataclasses.dataclass(frozen=True)
class Preset:
    """One published model.

    Args:
        name: of the preset.
        arguments: of `MaskRCNN`.
        category_ids: COCO category of each class.
        url: of the official weights.
        checksum: first hexadecimal digits of the file's checksum, as in its name; empty where the
            publisher states none.
        algorithm: of the checksum. torchvision puts 8 digits of SHA-256 into a file name,
            detectron2 6 digits of MD5: enough against a broken download, not against forgery.
            Matterport publishes no checksum.
        published: average precisions that the publisher states: `box`, `mask`, `keypoint`.
        source: where it states them.
    """

    name: str
    arguments: Mapping[str, Any]
    category_ids: tuple[int, ...]
    url: str
    checksum: str
    algorithm: str
    published: Mapping[str, float]
    source: str

    @property
    def num_classes(self) -> int:
        """Foreground classes of the published weights."""
        return self.arguments["num_classes"]

    @property
    def architecture(self) -> str:
        """The name, but for how long the model was trained."""
        return _SCHEDULE.sub("", self.name)

    @property
    def parameters(self) -> int:
        """How many numbers the model holds, but for the statistics of its norms."""
        return PARAMETERS[self.architecture]

    def model_arguments(self, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The arguments of `MaskRCNN` that make the model.

        Args:
            changes: see `merge_arguments`; with another `num_classes`, names are dropped unless
                given.
        """
        changes = dict(changes or {})
        if changes.get("num_classes", self.num_classes) != self.num_classes:
            changes.setdefault("class_names", ())
        return merge_arguments(self.arguments, changes)


def merged(*layers: Mapping[str, Any]) -> Mapping[str, Any]:
    """One layer of arguments over the other."""
    arguments: dict[str, Any] = {}
    for layer in layers:
        arguments = merge_arguments(arguments, layer)
    return types.MappingProxyType(arguments)
