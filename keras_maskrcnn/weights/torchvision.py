"""torchvision's names and conventions: ResNets, RegNets, Mask and Keypoint R-CNN (v1 and v2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from keras_maskrcnn.weights.layouts import (
    background_last,
    depends_on_classes,
    from_torch,
    from_torch_flattened,
    parse_resnet_layer,
    rename_layer,
    split_path,
    torch_name,
)
from keras_maskrcnn.weights.regnet import is_regnet, torchvision_module
from keras_maskrcnn.weights.report import Slot

BODY = "backbone.body."

# Names that changed when torchvision 0.12 gave its heads optional norms; published files of
# the first models keep the old ones.
_OLD_NAMES: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"(backbone\.fpn\.(?:inner|layer)_blocks\.\d)\.(weight|bias)", r"\1.0.\2"),
    (r"rpn\.head\.conv\.(weight|bias)", r"rpn.head.conv.0.0.\1"),
    (
        r"roi_heads\.mask_head\.mask_fcn(\d)\.(weight|bias)",
        lambda m: f"roi_heads.mask_head.{int(m[1]) - 1}.0.{m[2]}",
    ),
)


def rename_old(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors under the names of torchvision 0.12 and later."""
    renamed = {}
    for name, tensor in tensors.items():
        for pattern, replacement in _OLD_NAMES:
            name = re.sub(f"^{pattern}$", replacement, name)
        renamed[name] = tensor
    return renamed


def backbone_module(layer: str) -> str | None:
    """Module of a ResNet layer: `"res2_block1_conv1/norm"` to `"layer1.0.bn1"`."""
    parsed = parse_resnet_layer(layer)
    if parsed is None:
        return None
    if parsed.stage == 1:
        return "bn1" if parsed.is_norm else "conv1"
    if parsed.part == "shortcut":
        part = f"downsample.{int(parsed.is_norm)}"
    else:
        part = parsed.part.replace("conv", "bn") if parsed.is_norm else parsed.part
    return f"layer{parsed.stage - 1}.{parsed.block - 1}.{part}"


def backbone_slots(variables: Sequence[keras.Variable], prefix: str = "") -> list[Slot]:
    """Slots of the variables of a ResNet or RegNet.

    Args:
        variables: of models that `Backbone.build_maps` and `build_last_stage` made.
        prefix: before every tensor's name; `BODY` in detection models.
    """
    find_module = torchvision_module if is_regnet(variables) else backbone_module
    slots = []
    for variable in variables:
        module = find_module(split_path(variable)[0])
        names = () if module is None else (torch_name(prefix + module, variable),)
        slots.append(Slot(variable, names, from_torch))
    return slots


_DETECTOR_RULES = {
    r"rpn_head/conv(?P<n>\d)": "rpn.head.conv.{n}.0",
    r"rpn_head/objectness": "rpn.head.cls_logits",
    r"rpn_head/deltas": "rpn.head.bbox_pred",
    r"box_head/conv(?P<n>\d)": "roi_heads.box_head.{n}.0",
    r"box_head/conv(?P<n>\d)/norm": "roi_heads.box_head.{n}.1",
    r"box_head/fc1": "roi_heads.box_head.fc6",
    r"box_head/fc2": "roi_heads.box_head.fc7",
    r"box_head/class_logits": "roi_heads.box_predictor.cls_score",
    r"box_head/box_deltas": "roi_heads.box_predictor.bbox_pred",
    r"mask_head/conv(?P<n>\d)": "roi_heads.mask_head.{n}.0",
    r"mask_head/conv(?P<n>\d)/norm": "roi_heads.mask_head.{n}.1",
    r"mask_head/deconv": "roi_heads.mask_predictor.conv5_mask",
    r"mask_head/mask_logits": "roi_heads.mask_predictor.mask_fcn_logits",
    r"keypoint_head/deconv": "roi_heads.keypoint_predictor.kps_score_lowres",
}


def detector_module(layer: str, box_head_convs: int) -> str | None:
    """Module of any layer of a Mask or Keypoint R-CNN with a feature pyramid."""
    module = backbone_module(layer)
    if module is not None:
        return BODY + module
    pyramid = re.fullmatch(r"(lateral|output)([2-5])(/norm)?", layer)
    if pyramid is not None:
        blocks = {"lateral": "inner_blocks", "output": "layer_blocks"}[pyramid[1]]
        return f"backbone.fpn.{blocks}.{int(pyramid[2]) - 2}.{int(pyramid[3] is not None)}"
    keypoint = re.fullmatch(r"keypoint_head/conv(\d)", layer)
    if keypoint is not None:  # convolutions and ReLUs in turn
        return f"roi_heads.keypoint_head.{2 * int(keypoint[1]) - 2}"
    if layer == "box_head/fc1" and box_head_convs:  # after the convolutions and a Flatten
        return f"roi_heads.box_head.{box_head_convs + 1}"
    return rename_layer(layer, _DETECTOR_RULES, shift=1)


def detector_slots(
    variables: Sequence[keras.Variable],
    *,
    box_head_convs: int,
    box_pool_size: int,
    fresh_classes: bool = False,
) -> list[Slot]:
    """Slots of all variables of a Mask or Keypoint R-CNN with a feature pyramid.

    torchvision's first class is the background, ours the last; its box deltas and its masks have
    rows for the background too, which nothing reads.

    Args:
        variables: of a `MaskRCNN`.
        box_head_convs, box_pool_size: of its config.
        fresh_classes: leave the layers whose size depends on the classes as they are.
    """
    converters: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "box_head/class_logits": lambda t: from_torch(background_last(t)),
        "box_head/box_deltas": lambda t: from_torch(t[4:]),
        "mask_head/mask_logits": lambda t: from_torch(t[1:]),
        "box_head/fc1/kernel": lambda t: from_torch_flattened(t, box_pool_size),
    }
    slots = []
    for variable in variables:
        layer = split_path(variable)[0]
        module = detector_module(layer, box_head_convs)
        names = () if module is None else (torch_name(module, variable),)
        convert = converters.get(variable.path) or converters.get(layer, from_torch)
        slots.append(Slot(variable, names, convert, fresh_classes and depends_on_classes(layer)))
    return slots
