"""Convolution, normalisation, ReLU: the brick of backbone, pyramid and heads."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_maskrcnn.layers.norms import (
    BatchNormalization,
    make_norm,
    stored_scale_and_shift,
)
from keras_maskrcnn.ops.fan_out import fan_out
from keras_maskrcnn.ops.gpu_forms import add_bias
from keras_maskrcnn.ops.grouped_conv import grouped_conv2d

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class ConvBlock(keras.layers.Layer):
    """Convolution with symmetric padding; normalisation and ReLU if asked for.

    A normalisation that does not train is a linear map of each channel, and so is folded into
    kernel and bias: convolution, shift and ReLU become one pass over the pixels (TensorFlow's graph
    optimizer fuses them), where scale and shift of their own cost as much time as the convolutions.

    Args:
        filters: output channels, a multiple of `groups`.
        size: odd side of the kernel.
        strides: step along both axes.
        groups: groups of channels convolved apart (ResNeXt).
        dilation: step between the kernel's taps; more than 1 only without strides and groups.
        norm: `None` or one of `layers.norms.NORMS`; there is a bias only without one.
        norm_epsilon: added to the variance.
        relu: whether negative results become 0.
        initializer: of the kernel.

    Call arguments:
        inputs: `[n, h, w, C]`, `C` a multiple of `groups`; or a list of these (levels of a
            pyramid), each of which is convolved alike.
        training: for trained statistics.
        real: bool `[n]`, for one input: which rows count in statistics of the batch; by default all
            do. `"group"` norms each row by itself.

    Returns:
        `[n, ceil(h / strides), ceil(w / strides), filters]`, or a list of these.

    The kernel is `[size, size, C / groups, filters]`, as in `keras.layers.Conv2D`.
    """

    def __init__(
        self,
        filters: int,
        size: int = 3,
        *,
        strides: int = 1,
        groups: int = 1,
        dilation: int = 1,
        norm: str | None = None,
        norm_epsilon: float = 1e-5,
        relu: bool = True,
        initializer: Any = "he_normal",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if filters % groups:
            raise ValueError(
                f"filters must be a multiple of groups={groups}. Received: filters={filters}"
            )
        if size % 2 == 0:
            raise ValueError(f"size must be odd. Received: size={size}")
        self.filters = filters
        self.size = size
        self.strides = strides
        self.groups = groups
        self.dilation = dilation
        self.norm_kind = norm
        self.norm_epsilon = norm_epsilon
        self.relu = relu
        self.initializer = keras.initializers.get(initializer)
        self.norm = (
            None
            if norm is None
            else make_norm(
                norm,
                norm_epsilon,
                dtype=self.dtype_policy,
                trainable=self.trainable,
                name="norm",
            )
        )

    def build(self, input_shape: Any) -> None:
        if self.dilation > 1 and (self.strides > 1 or self.groups > 1):
            raise ValueError(
                "a dilated convolution has strides=1 and groups=1. Received: "
                f"dilation={self.dilation}, strides={self.strides}, groups={self.groups}"
            )
        channels = input_shape[-1]
        if channels is None or channels % self.groups:
            raise ValueError(
                f"the input's channels must be a multiple of groups={self.groups}. "
                f"Received: input_shape={input_shape}"
            )
        # autocast=False: the scale of a norm is taken in before the kernel is rounded.
        self.kernel = self.add_weight(
            shape=(self.size, self.size, channels // self.groups, self.filters),
            initializer=self.initializer,
            name="kernel",
            autocast=False,
        )
        self.bias = None
        if self.norm is None:
            self.bias = self.add_weight(
                shape=(self.filters,), initializer="zeros", name="bias", autocast=False
            )
        else:
            self.norm.build((*input_shape[:-1], self.filters))

    def call(self, inputs: Any, training: bool = False, real: Tensor | None = None) -> Any:
        kernel, shift = ops.convert_to_tensor(self.kernel), self.bias
        stored = stored_scale_and_shift(self.norm, training)
        if stored is not None:
            scale, shift = stored
            # Not before its turn: TensorFlow would begin with a second copy of all weights.
            with tf.control_dependencies(tf.nest.flatten(inputs)):
                kernel = kernel * scale
        if not isinstance(inputs, list | tuple):
            x = self._convolve(inputs, kernel)
            return self._finish(x, shift, stored is None, training, real)
        kernels = fan_out(kernel, len(inputs))
        shifts = [None] * len(inputs) if shift is None else fan_out(shift, len(inputs))
        return [
            self._finish(self._convolve(x, kernel), shift, stored is None, training)
            for x, kernel, shift in zip(inputs, kernels, shifts, strict=True)
        ]

    def _finish(
        self,
        x: Tensor,
        shift: Tensor | None,
        normalize: bool,
        training: bool,
        real: Tensor | None = None,
    ) -> Tensor:
        if shift is not None:
            x = add_bias(x, ops.cast(shift, x.dtype))
        if normalize and isinstance(self.norm, BatchNormalization):
            mask = None
            if real is not None:
                mask = ops.broadcast_to(real[:, None, None], ops.shape(x)[:-1])
            x = self.norm(x, training=training, mask=mask)
        elif normalize and self.norm is not None:
            x = self.norm(x)
        return ops.relu(x) if self.relu else x

    def _convolve(self, x: Tensor, kernel: Tensor) -> Tensor:
        kernel = ops.cast(kernel, x.dtype)
        border = self.size // 2
        explicit = border > 0 and (self.strides > 1 or self.groups > 1)
        if explicit:
            # "same" would pad a strided convolution at the bottom and right only.
            x = ops.pad(x, [[0, 0], [border, border], [border, border], [0, 0]])
        if self.groups > 1:
            return grouped_conv2d(x, kernel, groups=self.groups, stride=self.strides)
        padding = "valid" if explicit else "same"
        return ops.conv(
            x, kernel, strides=self.strides, padding=padding, dilation_rate=self.dilation
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        if isinstance(input_shape[0], list | tuple):
            return [self.compute_output_shape(shape) for shape in input_shape]
        batch, *sides, _ = input_shape
        steps = [None if side is None else -(-side // self.strides) for side in sides]
        return (batch, *steps, self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "size": self.size,
            "strides": self.strides,
            "groups": self.groups,
            "dilation": self.dilation,
            "norm": self.norm_kind,
            "norm_epsilon": self.norm_epsilon,
            "relu": self.relu,
            "initializer": keras.initializers.serialize(self.initializer),
        }
