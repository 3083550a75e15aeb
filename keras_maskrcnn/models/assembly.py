"""From what a user says of a model to the parts that it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_maskrcnn.backbones import make_backbone
from keras_maskrcnn.heads import BOXES, HEADS, RPNS
from keras_maskrcnn.necks import NECKS
from keras_maskrcnn.weights import backbone_conventions


def make_parts(
    backbone: Any, neck: Any, rpn: Any, box: Any, heads: Sequence[Any], weights: str | None
) -> dict[str, Any]:
    """The parts that a user's choices stand for, by the names of `Network`'s arguments.

    Args:
        backbone, neck, rpn, box, heads, weights: as of `MaskRCNN`.

    Raises:
        ValueError: for an unknown name or setting, or heads of one name.
        TypeError: where `heads` is no list.
    """
    if isinstance(heads, str) or not isinstance(heads, Sequence):
        raise TypeError(f"heads must be a list of heads. Received: heads={heads!r}")
    made_neck = NECKS.make(neck, default="fpn")
    defaults = made_neck.part_defaults
    made_heads = [
        HEADS.make(head, default="mask", settings=defaults.get(_name(head))) for head in heads
    ]
    names = [head.name for head in made_heads]
    if len(set(names)) < len(names) or {"rpn", "box"} & set(names):
        raise ValueError(
            f"heads need names of their own, other than rpn and box. Received: names {names}"
        )
    return {
        # Strides and pixels as the weights were trained with, unless the caller knows better.
        "backbone": make_backbone(
            backbone, lambda name: {} if weights is None else backbone_conventions(name, weights)
        ),
        "neck": made_neck,
        "rpn": RPNS.make(rpn, default="rpn", settings=defaults.get("rpn")),
        "box": BOXES.make(box, default="box", settings=defaults.get("box")),
        "heads": made_heads,
    }


def _name(choice: Any) -> str:
    if isinstance(choice, Mapping):
        return choice.get("name", "mask")
    return choice if isinstance(choice, str) else ""
