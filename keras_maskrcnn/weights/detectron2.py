"""detectron2's names and conventions: ResNets, RegNets, Mask R-CNN and Keypoint R-CNN."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np

from keras_maskrcnn.weights.layouts import (
    depends_on_classes,
    flip_input_channels,
    from_torch,
    from_torch_flattened,
    parse_resnet_layer,
    reads_pooled_grid,
    rename_layer,
    split_path,
    torch_name,
)
from keras_maskrcnn.weights.regnet import detectron2_module, is_regnet
from keras_maskrcnn.weights.report import Slot

_DETECTOR_RULES = {
    r"lateral(?P<level>\d)": "backbone.fpn_lateral{level}",
    r"lateral(?P<level>\d)/norm": "backbone.fpn_lateral{level}.norm",
    r"output(?P<level>\d)": "backbone.fpn_output{level}",
    r"output(?P<level>\d)/norm": "backbone.fpn_output{level}.norm",
    r"rpn_head/conv1": "proposal_generator.rpn_head.conv",
    r"rpn_head/objectness": "proposal_generator.rpn_head.objectness_logits",
    r"rpn_head/deltas": "proposal_generator.rpn_head.anchor_deltas",
    r"box_head/conv(?P<n>\d)": "roi_heads.box_head.conv{n}",
    r"box_head/conv(?P<n>\d)/norm": "roi_heads.box_head.conv{n}.norm",
    r"box_head/fc(?P<n>\d)": "roi_heads.box_head.fc{n}",
    r"box_head/class_logits": "roi_heads.box_predictor.cls_score",
    r"box_head/box_deltas": "roi_heads.box_predictor.bbox_pred",
    r"box_head_(?P<stage>\d)/conv(?P<n>\d)": "roi_heads.box_head.{stage}.conv{n}",
    r"box_head_(?P<stage>\d)/conv(?P<n>\d)/norm": "roi_heads.box_head.{stage}.conv{n}.norm",
    r"box_head_(?P<stage>\d)/fc(?P<n>\d)": "roi_heads.box_head.{stage}.fc{n}",
    r"box_head_(?P<stage>\d)/class_logits": "roi_heads.box_predictor.{stage}.cls_score",
    r"box_head_(?P<stage>\d)/box_deltas": "roi_heads.box_predictor.{stage}.bbox_pred",
    r"mask_head/conv(?P<n>\d)": "roi_heads.mask_head.mask_fcn{n}",
    r"mask_head/conv(?P<n>\d)/norm": "roi_heads.mask_head.mask_fcn{n}.norm",
    r"mask_head/deconv": "roi_heads.mask_head.deconv",
    r"mask_head/mask_logits": "roi_heads.mask_head.predictor",
    r"keypoint_head/conv(?P<n>\d)": "roi_heads.keypoint_head.conv_fcn{n}",
    r"keypoint_head/deconv": "roi_heads.keypoint_head.score_lowres",
}
# A single convolution of the RPN has no number there, several count from 0.
_RPN_RULES = {r"rpn_head/conv(?P<n>\d)": "proposal_generator.rpn_head.conv.conv{n}"}


def backbone_module(layer: str) -> str | None:
    """Module of a ResNet layer: `"res2_block1_conv1/norm"` to `"res2.0.conv1.norm"`."""
    parsed = parse_resnet_layer(layer)
    if parsed is None:
        return None
    norm = ".norm" if parsed.is_norm else ""
    if parsed.stage == 1:
        return f"stem.conv1{norm}"
    return f"res{parsed.stage}.{parsed.block - 1}.{parsed.part}{norm}"


def _stem_converter(preprocessing: str) -> Callable[[np.ndarray], np.ndarray]:
    """detectron2's networks take BGR: for our RGB input the kernel is turned round instead."""
    if preprocessing == "caffe":
        return from_torch
    return lambda kernel: from_torch(flip_input_channels(kernel))


def backbone_slots(
    variables: Sequence[keras.Variable], *, preprocessing: str, prefix: str = ""
) -> list[Slot]:
    """Slots of the variables of a ResNet or RegNet.

    Args:
        variables: of models that `Backbone.build_maps` and `build_last_stage` made.
        preprocessing: of the config: `"caffe"` gives the network BGR, the others RGB.
        prefix: before every tensor's name.
    """
    find_module = detectron2_module if is_regnet(variables) else backbone_module
    slots = []
    for variable in variables:
        module = find_module(split_path(variable)[0])
        names = () if module is None else (torch_name(prefix + module, variable),)
        is_stem = variable.path == "stem_conv/kernel"
        slots.append(
            Slot(variable, names, _stem_converter(preprocessing) if is_stem else from_torch)
        )
    return slots


def detector_slots(
    variables: Sequence[keras.Variable],
    *,
    neck: str,
    preprocessing: str,
    box_pool_size: int,
    fresh_classes: bool = False,
) -> list[Slot]:
    """Slots of all variables of a Mask or Keypoint R-CNN.

    detectron2 counts classes as we do: foreground first, background last, no box deltas nor masks
    for the background.

    Args:
        variables: of a `MaskRCNN`.
        neck: `"fpn"`, `"c4"` or `"dc5"`.
        preprocessing, box_pool_size: of its config.
        fresh_classes: leave the layers whose size depends on the classes as they are.
    """
    find_module = detectron2_module if is_regnet(variables) else backbone_module
    rpn_rules = _RPN_RULES if any(v.path == "rpn_head/conv2/kernel" for v in variables) else {}
    slots = []
    for variable in variables:
        layer = split_path(variable)[0]
        module = find_module(layer)
        if module is None:
            module = rename_layer(layer, rpn_rules, shift=1)
            module = module or rename_layer(layer, _DETECTOR_RULES, shift=0)
        elif neck == "fpn":
            module = f"backbone.bottom_up.{module}"
        elif neck == "c4" and module.startswith("res5"):
            module = f"roi_heads.{module}"
        else:
            module = f"backbone.{module}"
        convert: Callable[[np.ndarray], np.ndarray] = from_torch
        if variable.path == "stem_conv/kernel":
            convert = _stem_converter(preprocessing)
        elif reads_pooled_grid(variable.path):

            def convert(tensor: np.ndarray) -> np.ndarray:
                return from_torch_flattened(tensor, box_pool_size)

        names = () if module is None else (torch_name(module, variable),)
        slots.append(Slot(variable, names, convert, fresh_classes and depends_on_classes(layer)))
    return slots
