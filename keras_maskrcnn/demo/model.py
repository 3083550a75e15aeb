"""A small model for small pictures, which learns within minutes."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

# Of maps of stride 4, 8, 16, 32: channels, and residual blocks.
_STAGES = ((48, 2), (96, 2), (192, 2), (256, 1))
_STEM = 32


def compact_settings(size: int = 160) -> dict[str, Any]:
    """Arguments of `MaskRCNN`: a tenth of ResNet-50's weights, a quarter of the usual channels,
    and anchors from 16 pixels.

    Args:
        size: of pictures, in pixels.
    """
    return {
        "backbone": {
            "name": "functional",
            "model": compact_backbone(),
            "norm": "batch",
            "preprocessing": "torch",
        },
        "neck": {"channels": 64},
        "rpn": {
            "anchor_sizes": ((16,), (32,), (64,), (96,), (128,)),
            "pre_nms_train": 400,
            "pre_nms_test": 200,
            "proposals_train": 400,
            "proposals_test": 100,
        },
        "box": {"samples": 64, "dim": 256, "max_detections": 30},
        "heads": ({"name": "mask", "convs": 2, "dim": 64},),
        "min_size": size,
        "max_size": size,
    }


def compact_backbone() -> keras.Model:
    """A residual network of 7 blocks as a Functional model, from `[B, H, W, 3]` to its four maps.

    ResNet-18 (He et al. 2016) with less of what small pictures do not need: its first layer has 3 x
    3 pixels and no pooling after it, and the last stage, which has most of the weights and the
    fewest cells, is half as long and half as wide.
    """
    images = keras.Input((None, None, 3))
    x = _convolution(images, _STEM, 3, strides=2)
    maps = []
    for channels, blocks in _STAGES:
        for block in range(blocks):
            x = _residual_block(x, channels, strides=1 if block else 2)
        maps.append(x)
    return keras.Model(images, maps, name="compact")


def _residual_block(x: Any, channels: int, strides: int) -> Any:
    y = _convolution(x, channels, 3, strides=strides)
    y = _convolution(y, channels, 3, relu=False)
    if strides > 1:
        x = _convolution(x, channels, 1, strides=strides, relu=False)
    return layers.ReLU()(layers.Add()([x, y]))


def _convolution(x: Any, channels: int, size: int, *, strides: int = 1, relu: bool = True) -> Any:
    """A convolution and its batch norm; a short training wants moving statistics that follow."""
    x = layers.Conv2D(
        channels,
        size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
    )(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    return layers.ReLU()(x) if relu else x
