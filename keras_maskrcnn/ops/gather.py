"""Values of each picture by index, as one TensorFlow operation.

Keras has no such operation: `ops.take_along_axis` does the same in thirty, and a training step has
dozens of them, each of which takes a millisecond to trace.

Legend: `B` pictures, `A` candidates, `S` of them.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

Tensor = Any


def take_rows(values: Tensor, indices: Tensor) -> Tensor:
    """`values[b, indices[b, s]]`.

    Args:
        values: `[B, A, ...]`.
        indices: integers `[B, S]`, 0..A-1.

    Returns:
        `[B, S, ...]`.
    """
    return tf.gather(values, indices, batch_dims=1)


def take(values: Tensor, indices: Tensor) -> Tensor:
    """`values[indices]`; `ops.take` also knows indices from the end, for which it needs the host.

    Args:
        values: `[A, ...]`.
        indices: integers of any shape, 0..A-1.
    """
    return tf.gather(values, indices)
