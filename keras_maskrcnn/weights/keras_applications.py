"""ImageNet ResNets in the form of keras.applications: its own files, and folded networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from keras_maskrcnn.weights.download import download_file
from keras_maskrcnn.weights.layouts import parse_resnet_layer, split_path
from keras_maskrcnn.weights.report import Slot

# Of every batch norm in keras.applications' ResNets.
EPSILON = 1.001e-5

_URL = "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
# File name of each network to the MD5 that keras.applications checks.
_FILES = {
    "resnet50": (
        "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "4d473c1dd8becc155b73f8504c6f6626",
    ),
    "resnet101": (
        "resnet101_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "88cf7a10940856eca736dc7b7e228a21",
    ),
}


def download(name: str) -> Path:
    """Fetches the ImageNet weights of ResNet-50 or -101, once, into Keras' cache.

    Args:
        name: `"resnet50"` or `"resnet101"`.

    Raises:
        OSError: when it cannot be downloaded.
        ValueError: for another network.
    """
    if name not in _FILES:
        raise ValueError(
            f"weights='imagenet' knows {tuple(_FILES)}; give a path for other backbones. "
            f"Received: backbone={name!r}"
        )
    file_name, checksum = _FILES[name]
    return download_file(
        _URL + file_name, file_name, by_hand="weights=PATH (--weights PATH)", file_hash=checksum
    )


def _layer_names(path: str) -> tuple[str, str] | None:
    """Convolution and batch norm: `"conv2_block1_1_conv"`, `"conv2_block1_1_bn"`."""
    parsed = parse_resnet_layer(path)
    if parsed is None:
        return None
    if parsed.stage == 1:
        base = "conv1"
    else:
        number = 0 if parsed.part == "shortcut" else int(parsed.part.removeprefix("conv"))
        base = f"conv{parsed.stage}_block{parsed.block}_{number}"
    return f"{base}_conv", f"{base}_bn"


def backbone_slots(
    variables: Sequence[keras.Variable], *, norm_epsilon: float, folded: bool
) -> list[Slot]:
    """Slots of the variables of a bottleneck ResNet.

    keras.applications' convolutions have biases before a batch norm: they are taken off its mean,
    and its epsilon, which differs from ours, is moved into the variance. Both are exact.

    Args:
        variables: of models that `build_resnet` and `build_resnet_stage5` made.
        norm_epsilon: of those models.
        folded: the file holds convolutions with the batch norm folded in, and no batch norm:
            ours gets statistics that do nothing, and the bias as `beta`.
    """
    slots = []
    for variable in variables:
        layer, name = split_path(variable)
        layers = _layer_names(layer)
        if layers is None:
            slots.append(Slot(variable, (), _same))
            continue
        convolution, norm = layers
        bias, kernel = f"{convolution}/bias", f"{convolution}/kernel"
        constants = {
            "gamma": float(np.sqrt(1.0 + norm_epsilon)),
            "moving_mean": 0.0,
            "moving_variance": 1.0,
        }
        if name == "kernel":
            slot = Slot(variable, (kernel,), _same)
        elif folded and name == "beta":
            slot = Slot(variable, (bias,), _same)
        elif folded:
            slot = Slot(variable, (bias,), _constant(constants[name]))
        else:
            slot = norm_slot(variable, norm, bias, EPSILON - norm_epsilon)
        slots.append(slot)
    return slots


def norm_slot(variable: keras.Variable, norm: str, bias: str, epsilon: float) -> Slot:
    """Slot of a batch norm's variable, where the convolution before it has a bias in the file.

    Args:
        variable: of ours.
        norm: layer of the file.
        bias: tensor of the file, taken off the mean.
        epsilon: added to the variance: by how much the file's epsilon is larger than ours.
    """
    name = split_path(variable)[1]
    if name == "moving_mean":
        return Slot(variable, (f"{norm}/moving_mean", bias), np.subtract)
    if name == "moving_variance":
        return Slot(variable, (f"{norm}/moving_variance",), _shifted(epsilon))
    return Slot(variable, (f"{norm}/{name}",), _same)


def _same(tensor: np.ndarray) -> np.ndarray:
    return tensor


def _constant(value: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda tensor: np.full_like(tensor, value)


def _shifted(difference: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda tensor: tensor + tensor.dtype.type(difference)
