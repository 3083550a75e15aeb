"""One heat map per keypoint for every RoI."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_maskrcnn.layers.conv_block import ConvBlock
from keras_maskrcnn.layers.roi_selection import at_least_one

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class KeypointHead(keras.layers.Layer):
    """Eight convolutions, a transposed one, and bilinear enlargement (Mask R-CNN section 5).

    Args:
        num_keypoints: `J`.
        num_convs: 3x3 convolutions.
        dim: their channels.

    Call arguments:
        features: `[P, p, p, C]` pooled features.

    Returns:
        float32 `[P, 4p, 4p, J]` logits; a softmax over each map finds its keypoint.
    """

    def __init__(
        self, num_keypoints: int, num_convs: int = 8, dim: int = 512, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.num_keypoints = num_keypoints
        self.num_convs = num_convs
        self.dim = dim
        policy = self.dtype_policy
        initializer = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
        self.convs = [
            ConvBlock(dim, initializer=initializer, dtype=policy, name=f"conv{i}")
            for i in range(1, num_convs + 1)
        ]
        self.deconv = keras.layers.Conv2DTranspose(
            num_keypoints,
            4,
            strides=2,
            padding="same",
            kernel_initializer=initializer,
            dtype=policy,
            name="deconv",
        )

    def build(self, input_shape: Any) -> None:
        shape = tuple(input_shape)
        for conv in self.convs:
            conv.build(shape)
            shape = conv.compute_output_shape(shape)
        self.deconv.build(shape)

    def call(self, features: Tensor) -> Tensor:
        x = at_least_one(features)
        for conv in self.convs:
            x = conv(x)
        x = ops.cast(self.deconv(x), "float32")[: ops.shape(features)[0]]
        side = 2 * x.shape[1]
        return ops.image.resize(x, (side, side), interpolation="bilinear")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_keypoints": self.num_keypoints,
            "num_convs": self.num_convs,
            "dim": self.dim,
        }
