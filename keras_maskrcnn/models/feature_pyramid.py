"""Feature pyramid: Lin et al. 2017 (arXiv 1612.03144)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_maskrcnn.layers.conv_block import ConvBlock


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
        coarse = ops.repeat(ops.repeat(coarse, 2, axis=1), 2, axis=2)
        # An odd fine map: its last row and column have only half a coarse cell.
        _, height, width, _ = ops.shape(fine)
        return fine + coarse[:, :height, :width]

    def compute_output_shape(self, input_shape: Sequence[Any]) -> Any:
        return input_shape[0]


def build_feature_pyramid(
    in_channels: Sequence[int] = (256, 512, 1024, 2048),
    *,
    channels: int = 256,
    norm: str | None = None,
    norm_epsilon: float = 1e-5,
) -> keras.Model:
    """Builds the pyramid P2..P6 as a Functional model named `feature_pyramid`.

    Layers are named `lateral2..5` (1x1) and `output2..5` (3x3).

    Args:
        in_channels: channels of C2..C5.
        channels: channels of every level.
        norm: `None` for convolutions with bias; else one of `config.NORMS`, after convolutions
            without bias (torchvision's v2 models).
        norm_epsilon: added to the variance.

    Returns:
        A model from `{"C2": ..., "C5": ...}` to `{"P2": ..., "P6": ...}`; P6 is every second
        pixel of P5.
    """
    if len(in_channels) != 4:
        raise ValueError(
            f"in_channels must hold the channels of C2..C5. Received: in_channels={in_channels}"
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
            name=name,
        )(x)

    inputs = {
        f"C{level}": keras.Input((None, None, width), name=f"C{level}")
        for level, width in zip((2, 3, 4, 5), in_channels, strict=True)
    }
    outputs = {}
    top = None
    for level in (5, 4, 3, 2):
        lateral = conv(inputs[f"C{level}"], f"lateral{level}", 1)
        top = lateral if top is None else UpsampleAdd(name=f"merge{level}")([lateral, top])
        outputs[f"P{level}"] = conv(top, f"output{level}", 3)
    outputs["P6"] = keras.layers.MaxPooling2D(1, strides=2, name="output6")(outputs["P5"])
    return keras.Model(inputs, dict(sorted(outputs.items())), name="feature_pyramid")
