"""Batch normalisation whose statistics never change."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class FrozenBatchNormalization(keras.layers.Layer):
    """Normalises the last axis by stored statistics, in training as in inference.

    Detection trains with few pictures per device, where batch statistics are noise; the reference
    implementations therefore keep those of the pre-training (He et al. 2017, section 3.1). Scale
    and shift are computed in float32 whatever the compute dtype, then cast.

    Args:
        epsilon: added to the variance.
        train_affine: whether `gamma` and `beta` train.

    Call arguments:
        inputs: `[..., channels]`.

    Returns:
        The same shape: `(inputs - moving_mean) * gamma / sqrt(moving_variance + epsilon) + beta`.
    """

    def __init__(self, epsilon: float = 1e-5, train_affine: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.train_affine = train_affine

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = input_shape[-1]
        if channels is None:
            raise ValueError(
                f"the last axis must have a known size. Received: input_shape={input_shape}"
            )

        def add(name: str, initializer: str, trainable: bool) -> keras.Variable:
            # autocast=False: a bfloat16 variance would cost three digits of the scale.
            return self.add_weight(
                shape=(channels,),
                initializer=initializer,
                trainable=trainable,
                name=name,
                autocast=False,
            )

        self.gamma = add("gamma", "ones", self.train_affine)
        self.beta = add("beta", "zeros", self.train_affine)
        self.moving_mean = add("moving_mean", "zeros", False)
        self.moving_variance = add("moving_variance", "ones", False)

    def scale_and_shift(self) -> tuple[Any, Any]:
        """float32 `[channels]` each: the layer's result is `inputs * scale + shift`."""
        scale = self.gamma * ops.rsqrt(self.moving_variance + self.epsilon)
        return scale, self.beta - self.moving_mean * scale

    def call(self, inputs: Any) -> Any:
        scale, shift = self.scale_and_shift()
        return inputs * ops.cast(scale, inputs.dtype) + ops.cast(shift, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "train_affine": self.train_affine,
        }
