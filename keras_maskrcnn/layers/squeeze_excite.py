"""Channels weighed by what the whole map shows."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_maskrcnn.layers.conv_block import ConvBlock

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class SqueezeExcite(keras.layers.Layer):
    """Squeeze-and-excitation (Hu et al. 2018, arXiv 1709.01507, section 3).

    Each channel is multiplied by a number in 0..1, which two fully connected layers find from the
    means of all channels. A mean is over the whole map: where a batch is padded, over the padding
    too, as in the networks whose weights are published.

    Args:
        channels: units between the two layers.

    Call arguments:
        inputs: `[n, h, w, C]`.

    Returns:
        `[n, h, w, C]`.
    """

    def __init__(self, channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.channels = channels

    def build(self, input_shape: Any) -> None:
        # A fully connected layer is a 1x1 convolution of one cell, which is what files hold.
        options: dict[str, Any] = {"dtype": self.dtype_policy, "trainable": self.trainable}
        self.reduce = ConvBlock(self.channels, 1, name="reduce", **options)
        self.expand = ConvBlock(input_shape[-1], 1, relu=False, name="expand", **options)
        self.reduce.build((None, 1, 1, input_shape[-1]))
        self.expand.build((None, 1, 1, self.channels))

    def call(self, inputs: Tensor) -> Tensor:
        # Keras adds the cells in float32, whatever their type: half precision loses most of them.
        weights = self.expand(self.reduce(ops.mean(inputs, axis=(1, 2), keepdims=True)))
        return inputs * ops.sigmoid(weights)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "channels": self.channels}
