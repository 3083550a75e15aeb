"""What the readers share: names of our ResNet layers, and PyTorch's tensor layouts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import keras
import numpy as np

_SUFFIXES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


class ResNetLayer(NamedTuple):
    """`res3_block1_conv2/norm` taken apart: stage 3, block 1, part `conv2`, norm.

    The stem has stage 1, block 0 and part `conv`.
    """

    stage: int
    block: int
    part: str
    is_norm: bool


def parse_resnet_layer(path: str) -> ResNetLayer | None:
    """The ResNet layer that a path such as `"res3_block1_conv2/norm"` names, or `None`."""
    match = re.fullmatch(
        r"(?:.*/)?(?:stem_conv|res([2-5])_block(\d+)_(conv\d|shortcut))(/norm)?", path
    )
    if match is None:
        return None
    stage, block, part, norm = match.groups()
    return ResNetLayer(int(stage or 1), int(block or 0), part or "conv", bool(norm))


def split_path(variable: keras.Variable) -> tuple[str, str]:
    """`"box_head/fc1/kernel"` to `("box_head/fc1", "kernel")`."""
    layer, _, name = variable.path.rpartition("/")
    return layer, name


def torch_name(module: str, variable: keras.Variable) -> str:
    """Name of the tensor of a PyTorch `module` that fills `variable`.

    Raises:
        ValueError: when PyTorch has no such tensor.
    """
    name = split_path(variable)[1]
    if name not in _SUFFIXES:
        raise ValueError(f"PyTorch's layers have no counterpart of {variable.path}")
    return f"{module}.{_SUFFIXES[name]}"


def from_torch(tensor: np.ndarray) -> np.ndarray:
    """To Keras' layout, by rank.

    Convolution `[out, in, h, w]` to `[h, w, in, out]`; transposed convolution `[in, out, h, w]` to
    `[h, w, out, in]`; dense `[out, in]` to `[in, out]`; vectors as they are.
    """
    return tensor.transpose(2, 3, 1, 0) if tensor.ndim == 4 else tensor.T


def from_torch_flattened(tensor: np.ndarray, side: int) -> np.ndarray:
    """A dense kernel over a flattened `side` x `side` map.

    PyTorch flattens channels first, we last: `[out, C * s * s]` to `[s * s * C, out]`.
    """
    outputs, inputs = tensor.shape
    if inputs % side**2:
        raise ValueError(f"expected inputs of {side} x {side} pixels")
    maps = tensor.reshape(outputs, inputs // side**2, side, side)
    return maps.transpose(2, 3, 1, 0).reshape(inputs, outputs)


def flip_input_channels(kernel: np.ndarray) -> np.ndarray:
    """A PyTorch kernel `[out, in, h, w]` of a network for BGR, as one for RGB."""
    return kernel[:, ::-1]


def background_last(tensor: np.ndarray) -> np.ndarray:
    """Rows `[background, classes]` to `[classes, background]`."""
    return np.concatenate([tensor[1:], tensor[:1]])


# In detectors of this package that have published weights.
_CLASS_LAYERS = re.compile(r"box_head(_\d)?/class_logits|box_head/box_deltas|mask_head/mask_logits")
_FIRST_FC = re.compile(r"box_head(_\d)?/fc1/kernel")


def depends_on_classes(layer: str) -> bool:
    """Whether a layer's size depends on the number of classes."""
    return _CLASS_LAYERS.fullmatch(layer) is not None


def reads_pooled_grid(path: str) -> bool:
    """Whether a kernel reads a RoI's flattened features, whose order libraries differ in."""
    return _FIRST_FC.fullmatch(path) is not None


def rename_layer(layer: str, rules: Mapping[str, str], shift: int) -> str | None:
    """The module that the first matching rule names.

    Args:
        layer: path of a layer of ours.
        rules: regular expression of the whole path to a template. A group `(?P<n>\\d)` counts from
            1 in our names; in the template `{n}` is lowered by `shift`. A group `level` is taken as
            it is; `stage` counts from 1 in our names and from 0 in theirs.
        shift: 1 for names that count from 0.
    """
    for pattern, template in rules.items():
        match = re.fullmatch(pattern, layer)
        if match is not None:
            groups = {key: int(value) for key, value in match.groupdict().items()}
            if "n" in groups:
                groups["n"] -= shift
            if "stage" in groups:
                groups["stage"] -= 1
            return template.format(**groups)
    return None
