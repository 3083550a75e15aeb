"""Feature pyramid: Lin et al. 2017 (arXiv 1612.03144)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from keras_maskrcnn.backbones.base import Backbone, map_channels
from keras_maskrcnn.checks import at_least, one_of
from keras_maskrcnn.layers.conv_block import ConvBlock
from keras_maskrcnn.layers.norms import NORMS
from keras_maskrcnn.necks.base import NECKS, Neck

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class UpsampleAdd(keras.layers.Layer):
    """Adds a coarse map, enlarged twice by nearest neighbour, to the next finer one.

    Call arguments:
        inputs: `[fine, coarse]`, `[B, H, W, C]` and `[B, ceil(H / 2), ceil(W / 2), C]`.

    Returns:
        `[B, H, W, C]`.
    """

    def call(self, inputs: Sequence[Any]) -> Any:
        fine, coarse = inputs
        batch, height, width, channels = ops.shape(coarse)
        # LiteRT cannot slice six axes, but reshape and repeat them.
        cells = ops.reshape(coarse, (batch, height, 1, width, 1, channels))
        cells = ops.broadcast_to(cells, (batch, height, 2, width, 2, channels))
        coarse = ops.reshape(cells, (batch, 2 * height, 2 * width, channels))
        # An odd fine map: its last row and column have only half a coarse cell.
        _, height, width, _ = ops.shape(fine)
        return fine + coarse[:, :height, :width]

    def compute_output_shape(self, input_shape: Sequence[Any]) -> Any:
        return input_shape[0]


@NECKS.register("fpn")
class FPN(Neck):
    """A feature pyramid: every map of the backbone gets the meaning of the coarsest.

    The RPN reads all levels, the heads all but the additional coarsest one.

    Args:
        channels: of every level.
        norm: `None` for convolutions with bias; else one of `layers.norms.NORMS`, after
            convolutions without bias (torchvision's v2 models).
        norm_epsilon: added to the variance.
    """

    def __init__(
        self, *, channels: int = 256, norm: str | None = None, norm_epsilon: float = 1e-5
    ) -> None:
        at_least(1, channels=channels)
        one_of("norm", norm, (None, *NORMS))
        self.channels = channels
        self.norm = norm
        self.norm_epsilon = norm_epsilon

    def build(self, backbone: Backbone, dtype: Any) -> None:
        self.backbone = backbone.build_maps(None, dtype)
        self.pyramid = build_feature_pyramid(
            map_channels(self.backbone),
            channels=self.channels,
            norm=self.norm,
            norm_epsilon=self.norm_epsilon,
            dtype=dtype,
        )
        levels = sorted(self.pyramid.output)  # P2..P6
        self.rpn_strides = tuple(2 ** int(level[1:]) for level in levels)
        self.roi_strides = self.rpn_strides[:-1]

    def maps(self, images: Tensor) -> list[Tensor]:
        return list(self.pyramid(self.backbone(images)).values())


def build_feature_pyramid(
    in_channels: Mapping[str, int],
    *,
    channels: int = 256,
    norm: str | None = None,
    norm_epsilon: float = 1e-5,
    dtype: Any = None,
) -> keras.Model:
    """Builds the pyramid as a Functional model named `feature_pyramid`.

    Layers are named `lateral2..5` (1x1) and `output2..5` (3x3).

    Args:
        in_channels: channels of the backbone's maps by name, such as `{"C2": 256, ..., "C5":
            2048}`, each of half the side of the one before.
        channels: channels of every level.
        norm: `None` for convolutions with bias; else one of `layers.norms.NORMS`, after
            convolutions without bias (torchvision's v2 models).
        norm_epsilon: added to the variance.
        dtype: dtype policy of the layers; `None` for Keras' global one.

    Returns:
        A model from `{"C2": ..., "C5": ...}` to `{"P2": ..., "P6": ...}`; the last level is every
        second pixel of the one before.

    Raises:
        ValueError: where a level is missing between two others.
    """
    levels = sorted(int(name[1:]) for name in in_channels)
    if not levels or levels != list(range(levels[0], levels[-1] + 1)):
        raise ValueError(
            "a feature pyramid needs maps of successive strides, such as C2..C5 for 4, 8, 16, 32. "
            f"Received: maps {sorted(in_channels)}"
        )
    # Torchvision and detectron2: Xavier (Kaiming uniform with a=1), zero bias.
    initializer = keras.initializers.VarianceScaling(1.0, "fan_in", "uniform")

    def conv(x: Any, name: str, size: int) -> Any:
        return ConvBlock(
            channels,
            size,
            norm=norm,
            norm_epsilon=norm_epsilon,
            relu=False,
            initializer=initializer,
            dtype=dtype,
            name=name,
        )(x)

    inputs = {
        f"C{level}": keras.Input((None, None, in_channels[f"C{level}"]), name=f"C{level}")
        for level in levels
    }
    outputs = {}
    top = None
    for level in reversed(levels):
        lateral = conv(inputs[f"C{level}"], f"lateral{level}", 1)
        merge = UpsampleAdd(dtype=dtype, name=f"merge{level}")
        top = lateral if top is None else merge([lateral, top])
        outputs[f"P{level}"] = conv(top, f"output{level}", 3)
    last = levels[-1]
    outputs[f"P{last + 1}"] = keras.layers.MaxPooling2D(
        1, strides=2, dtype=dtype, name=f"output{last + 1}"
    )(outputs[f"P{last}"])
    return keras.Model(inputs, dict(sorted(outputs.items())), name="feature_pyramid")
