"""Masks of RoIs from fully connected layers: what the paper holds its convolutions against."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_maskrcnn.checks import one_of
from keras_maskrcnn.layers.mask_outputs import OUTPUTS, mask_channels, masks_of_classes

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class MaskMLPHead(keras.layers.Layer):
    """Fully connected layers, the last of which has a unit for every pixel of every mask.

    Mask R-CNN, table 2e: 1024, 1024, `K * 28^2` units. The place of a pixel within the RoI is not
    built in, but has to be learned.

    Args:
        num_classes: `K`.
        num_fcs: fully connected layers before the last.
        dim: their units.
        side: `M`.
        output: of `mask_outputs.OUTPUTS`.

    Call arguments:
        features: `[P, p, p, C]` pooled features.
        classes: int32 `[P]`, the class whose mask is wanted.

    Returns:
        as of `MaskHead`, of side `M`.
    """

    def __init__(
        self,
        num_classes: int,
        num_fcs: int = 2,
        dim: int = 1024,
        side: int = 28,
        output: str = "sigmoid",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        one_of("output", output, OUTPUTS)
        self.num_classes = num_classes
        self.num_fcs = num_fcs
        self.dim = dim
        self.side = side
        self.output_form = output
        self.fcs = [
            keras.layers.Dense(
                dim,
                activation="relu",
                # As in the box head.
                kernel_initializer=keras.initializers.VarianceScaling(1.0, "fan_in", "uniform"),
                dtype=self.dtype_policy,
                name=f"fc{i}",
            )
            for i in range(1, num_fcs + 1)
        ]
        self.mask_logits = keras.layers.Dense(
            side * side * mask_channels(output, num_classes),
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.001),
            dtype=self.dtype_policy,
            name="mask_logits",
        )

    def build(self, features_shape: Any, classes_shape: Any) -> None:
        _, height, width, channels = features_shape
        width *= height * channels
        for fc in self.fcs:
            fc.build((None, width))
            width = self.dim
        self.mask_logits.build((None, width))

    def call(self, features: Tensor, classes: Tensor) -> Tensor:
        _, height, width, channels = features.shape
        x = ops.reshape(features, (-1, height * width * channels))
        for fc in self.fcs:
            x = fc(x)
        shape = (-1, self.side, self.side, mask_channels(self.output_form, self.num_classes))
        maps = ops.reshape(ops.cast(self.mask_logits(x), "float32"), shape)
        return masks_of_classes(maps, classes, self.output_form)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "num_fcs": self.num_fcs,
            "dim": self.dim,
            "side": self.side,
            "output": self.output_form,
        }
