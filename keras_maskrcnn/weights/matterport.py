"""Matterport's Mask_RCNN (Keras 2): its layers' names and its conventions.

Its batch norms always keep their statistics, so those of its heads are folded into the layer before
them: the same function, in inference and in training with frozen norms, by fewer variables.

From the pixels that enter the network to boxes and masks the numbers are Matterport's. Around it we
stay with our own: pictures are padded at the bottom and right rather than on all sides, one whose
shorter side exceeds 800 is made smaller, boxes are not rounded to whole pixels, and masks are
pasted as everywhere here. Empty proposals and detections take no places, and a box grows at most as
`ops.boxes.DELTA_CLAMP` allows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np

from keras_maskrcnn.weights.keras_applications import norm_slot
from keras_maskrcnn.weights.layouts import (
    depends_on_classes,
    parse_resnet_layer,
    rename_layer,
    split_path,
)
from keras_maskrcnn.weights.report import Slot

# Keras 2's default, of every batch norm in it.
EPSILON = 1e-3

# Names of tensors of its ResNet.
BACKBONE = r"(bn_)?conv1/|(res|bn)[2-5]"

_LAYER_RULES = {
    r"lateral(?P<level>\d)": "fpn_c{level}p{level}",
    r"output(?P<level>\d)": "fpn_p{level}",
    r"rpn_head/conv1": "rpn_conv_shared",
    r"rpn_head/objectness": "rpn_class_raw",
    r"rpn_head/deltas": "rpn_bbox_pred",
    r"box_head/class_logits": "mrcnn_class_logits",
    r"box_head/box_deltas": "mrcnn_bbox_fc",
    r"mask_head/deconv": "mrcnn_mask_deconv",
    r"mask_head/mask_logits": "mrcnn_mask",
}
# Layers with a batch norm after them: `kind` is conv or bn.
_NORMED_RULES = {
    r"box_head/fc(?P<n>[12])": "mrcnn_class_{{kind}}{n}",
    r"mask_head/conv(?P<n>[1-4])": "mrcnn_mask_{{kind}}{n}",
}


def backbone_slots(variables: Sequence[keras.Variable], *, norm_epsilon: float) -> list[Slot]:
    """Slots of the variables of a ResNet-50 or -101.

    Args:
        variables: of a model that `build_resnet` made.
        norm_epsilon: of that model.
    """
    slots = []
    for variable in variables:
        layer, name = split_path(variable)
        layers = _residual_layers(layer)
        if layers is None:
            slots.append(Slot(variable, (), _same))
            continue
        convolution, norm = layers
        if name == "kernel":
            slots.append(Slot(variable, (f"{convolution}/kernel",), _same))
        else:
            slots.append(norm_slot(variable, norm, f"{convolution}/bias", EPSILON - norm_epsilon))
    return slots


def detector_slots(
    variables: Sequence[keras.Variable], *, norm_epsilon: float, fresh_classes: bool = False
) -> list[Slot]:
    """Slots of all variables of a Mask R-CNN.

    Args:
        variables: of a `MaskRCNN`.
        norm_epsilon: of its config.
        fresh_classes: leave the layers whose size depends on the classes as they are.
    """
    slots = []
    for variable in variables:
        layer, name = split_path(variable)
        if parse_resnet_layer(layer) is not None:
            slots.extend(backbone_slots([variable], norm_epsilon=norm_epsilon))
            continue
        normed = rename_layer(layer, _NORMED_RULES, shift=0)
        module = rename_layer(layer, _LAYER_RULES, shift=0)
        if normed is not None and name in ("kernel", "bias"):
            slots.append(_folded_slot(variable, normed))
        else:
            names = () if module is None else (f"{module}/{name}",)
            fresh = fresh_classes and depends_on_classes(layer)
            slots.append(Slot(variable, names, _CONVERTERS.get(layer, _same), fresh))
    return slots


def _residual_layers(path: str) -> tuple[str, str] | None:
    """Convolution and batch norm: `"res2a_branch2a"`, `"bn2a_branch2a"`."""
    parsed = parse_resnet_layer(path)
    if parsed is None:
        return None
    if parsed.stage == 1:
        return "conv1", "bn_conv1"
    branch = "1" if parsed.part == "shortcut" else "2" + "abc"[int(parsed.part[-1]) - 1]
    base = f"{parsed.stage}{chr(ord('a') + parsed.block - 1)}_branch{branch}"
    return f"res{base}", f"bn{base}"


def _folded_slot(variable: keras.Variable, template: str) -> Slot:
    """Slot of a kernel or bias that takes the batch norm after it along."""
    convolution, norm = template.format(kind="conv"), template.format(kind="bn")
    scale_names = (f"{norm}/gamma", f"{norm}/moving_variance")
    if split_path(variable)[1] == "kernel":

        def kernel(tensor: np.ndarray, gamma: np.ndarray, variance: np.ndarray) -> np.ndarray:
            if len(variable.shape) == 2:  # a convolution over the whole RoI is a dense layer
                tensor = tensor.reshape(-1, tensor.shape[-1])
            return (tensor * _scale(gamma, variance)).astype(tensor.dtype)

        return Slot(variable, (f"{convolution}/kernel", *scale_names), kernel)

    def bias(
        tensor: np.ndarray,
        mean: np.ndarray,
        beta: np.ndarray,
        gamma: np.ndarray,
        variance: np.ndarray,
    ) -> np.ndarray:
        shifted = (tensor.astype("float64") - mean) * _scale(gamma, variance) + beta
        return shifted.astype(tensor.dtype)

    names = (f"{convolution}/bias", f"{norm}/moving_mean", f"{norm}/beta")
    return Slot(variable, (*names, *scale_names), bias)


def _scale(gamma: np.ndarray, variance: np.ndarray) -> np.ndarray:
    return gamma / np.sqrt(variance.astype("float64") + EPSILON)


def _same(tensor: np.ndarray) -> np.ndarray:
    return tensor


# Each of these serves a kernel and a bias: outputs are on the last axis.


def _foreground_over_background(tensor: np.ndarray) -> np.ndarray:
    """A two-way softmax is the sigmoid of the difference of its logits."""
    pairs = tensor.reshape(*tensor.shape[:-1], -1, 2)
    return pairs[..., 1] - pairs[..., 0]


def _x_first(tensor: np.ndarray) -> np.ndarray:
    """Deltas dy, dx, dh, dw to dx, dy, dw, dh."""
    return tensor.reshape(*tensor.shape[:-1], -1, 4)[..., [1, 0, 3, 2]].reshape(tensor.shape)


def _class_deltas(tensor: np.ndarray) -> np.ndarray:
    """Without those of the background, which comes first."""
    return _x_first(tensor)[..., 4:]


def _background_last(tensor: np.ndarray) -> np.ndarray:
    return np.roll(tensor, -1, axis=-1)


def _without_background(tensor: np.ndarray) -> np.ndarray:
    return tensor[..., 1:]


_CONVERTERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "rpn_head/objectness": _foreground_over_background,
    "rpn_head/deltas": _x_first,
    "box_head/class_logits": _background_last,
    "box_head/box_deltas": _class_deltas,
    "mask_head/mask_logits": _without_background,
}
