"""Convolution, optional normalisation, ReLU: the brick of every head."""

from __future__ import annotations

from typing import Any

import keras

from keras_maskrcnn.layers.norms import make_norm

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class ConvBlock(keras.layers.Layer):
    """3x3 convolution, normalisation if asked for, ReLU.

    Args:
        filters: output channels.
        norm: `None` or one of `config.NORMS`; the convolution has a bias only without one.
        initializer: of the kernel.

    Call arguments:
        inputs: `[n, h, w, C]`.
        training: for trained statistics.

    Returns:
        `[n, h, w, filters]`.
    """

    def __init__(
        self,
        filters: int,
        norm: str | None = None,
        initializer: Any = "he_normal",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.norm_kind = norm
        self.initializer = keras.initializers.get(initializer)
        self.conv = keras.layers.Conv2D(
            filters,
            3,
            padding="same",
            use_bias=norm is None,
            kernel_initializer=self.initializer,
            dtype=self.dtype_policy,
            name="conv",
        )
        self.norm = (
            None if norm is None else make_norm(norm, 1e-5, dtype=self.dtype_policy, name="norm")
        )

    def build(self, input_shape: Any) -> None:
        self.conv.build(input_shape)
        if self.norm is not None:
            self.norm.build((*input_shape[:-1], self.filters))

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        x = self.conv(inputs)
        if self.norm is not None:
            x = self.norm(x, training=training)
        return keras.ops.relu(x)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "norm": self.norm_kind,
            "initializer": keras.initializers.serialize(self.initializer),
        }
