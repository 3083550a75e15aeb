"""The region proposal network's head."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_maskrcnn.layers.conv_block import ConvBlock

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class RPNHead(keras.layers.Layer):
    """Objectness and box deltas of every anchor, by one small network for all levels.

    Faster R-CNN section 3.1; shared over levels as in FPN section 4.1.

    Args:
        anchors_per_cell: `a`.
        num_convs: 3x3 convolutions before the two outputs.
        channels: theirs.

    Call arguments:
        features: list of `[B, h, w, C]`.

    Returns:
        two lists: logits float32 `[B, h * w * a]` and deltas float32 `[B, h * w * a, 4]`.
    """

    def __init__(
        self, anchors_per_cell: int, num_convs: int = 1, channels: int = 256, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.anchors_per_cell = anchors_per_cell
        self.num_convs = num_convs
        self.channels = channels
        # As in the reference implementations: small weights, so that training starts at ln 2.
        initializer = keras.initializers.RandomNormal(stddev=0.01)

        def conv(filters: int, name: str, size: int = 3, relu: bool = True) -> ConvBlock:
            return ConvBlock(
                filters,
                size,
                relu=relu,
                initializer=initializer,
                dtype=self.dtype_policy,
                name=name,
            )

        self.convs = [conv(channels, f"conv{i}") for i in range(1, num_convs + 1)]
        self.objectness = conv(anchors_per_cell, "objectness", size=1, relu=False)
        self.deltas = conv(4 * anchors_per_cell, "deltas", size=1, relu=False)

    def build(self, input_shape: Any) -> None:
        shape = input_shape[0]
        for conv in self.convs:
            conv.build(shape)
            shape = conv.compute_output_shape(shape)
        self.objectness.build(shape)
        self.deltas.build(shape)

    def call(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        batch = ops.shape(features[0])[0]
        for conv in self.convs:
            features = conv(features)

        def flat(maps: list[Tensor], *last: int) -> list[Tensor]:
            # [B, h, w, a] -> [B, h * w * a]: the order of `ops.anchors.grid_anchors`
            return [ops.cast(ops.reshape(x, (batch, -1, *last)), "float32") for x in maps]

        return flat(self.objectness(features)), flat(self.deltas(features), 4)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "anchors_per_cell": self.anchors_per_cell,
            "num_convs": self.num_convs,
            "channels": self.channels,
        }
