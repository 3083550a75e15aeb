"""One tensor for several readers."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

Tensor = Any


def fan_out(x: Tensor, readers: int) -> list[Tensor]:
    """The same tensor once for each reader, such that its gradient is the same at every run.

    The gradients of three readers or more are added by `AddN`, which TensorFlow's graph optimizer
    replaces by a buffer that each of them is added to when it is ready, if their shape is known:
    the order, and so the last digit, depends on how threads were scheduled, even under
    `tf.config.experimental.enable_op_determinism`. It merges additions of two into `AddN`, too.
    Here the gradients are stacked and summed over the stack, which is left alone. That takes as
    much memory again as the gradients: meant for weights, not for feature maps.

    Args:
        x: any tensor.
        readers: at least 1.

    Returns:
        `readers` tensors.
    """

    @tf.custom_gradient
    def copy(x: Tensor) -> tuple[list[Tensor], Any]:
        def gradient(*readers_gradients: Tensor) -> Tensor:
            return tf.reduce_sum(tf.stack(readers_gradients), axis=0)

        return [tf.identity(x) for _ in range(readers)], gradient

    return list(copy(tf.convert_to_tensor(x)))
