"""Grouped convolution, ResNeXt's 3x3."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_maskrcnn.ops.grouped_conv import grouped_conv2d


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class GroupedConv2D(keras.layers.Layer):
    """`keras.layers.Conv2D(groups=...)` with symmetric padding that also trains on CPU.

    Args:
        filters: output channels, a multiple of `groups`.
        kernel_size: odd side of the kernel.
        groups: number of groups.
        strides: step along both axes.
        use_bias: whether a bias is added.
        kernel_initializer: of the kernel.

    Call arguments:
        inputs: `[B, H, W, channels]`, channels a multiple of `groups`.

    Returns:
        `[B, ceil(H / strides), ceil(W / strides), filters]`.

    The kernel is `[k, k, channels / groups, filters]`, as in `keras.layers.Conv2D`.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        *,
        groups: int,
        strides: int = 1,
        use_bias: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if filters % groups:
            raise ValueError(
                f"filters must be a multiple of groups={groups}. Received: filters={filters}"
            )
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd. Received: kernel_size={kernel_size}")
        self.filters = filters
        self.kernel_size = kernel_size
        self.groups = groups
        self.strides = strides
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = input_shape[-1]
        if channels is None or channels % self.groups:
            raise ValueError(
                f"the input's channels must be a multiple of groups={self.groups}. "
                f"Received: input_shape={input_shape}"
            )
        self.kernel = self.add_weight(
            shape=(self.kernel_size, self.kernel_size, channels // self.groups, self.filters),
            initializer=self.kernel_initializer,
            name="kernel",
        )
        self.bias = (
            self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")
            if self.use_bias
            else None
        )

    def call(self, inputs: Any) -> Any:
        border = self.kernel_size // 2
        x = ops.pad(inputs, [[0, 0], [border, border], [border, border], [0, 0]])
        x = grouped_conv2d(x, self.kernel, groups=self.groups, stride=self.strides)
        return x if self.bias is None else x + self.bias

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, *sides, _ = input_shape
        steps = [None if side is None else -(-side // self.strides) for side in sides]
        return (batch, *steps, self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "groups": self.groups,
            "strides": self.strides,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
