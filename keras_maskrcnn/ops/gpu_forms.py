"""What TensorFlow's own GPU kernels do slowly, in forms that they do fast.

Without a visible GPU each function here is the plain operation, which a CPU does faster. What each
form gains is in `benchmarks/results/end_to_end_gpu.md`.

Legend: `B` pictures, `n` candidates, `C` channels.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
from keras import ops

from keras_maskrcnn.ops.compiled import logger

Tensor = Any

# TensorFlow sorts a row of candidates by one block of threads, so that the 268,000 anchors of two
# pictures keep two of a GPU's hundred multiprocessors busy.
_GROUPS = 16
# The kernel that sums a bias' gradient adds small floats by loops of compare and swap.
_SMALL_FLOATS = (tf.bfloat16, tf.float16)


_ARE_PLAIN = contextvars.ContextVar("_ARE_PLAIN", default=False)


def has_gpu() -> bool:
    """Whether TensorFlow sees a GPU; a program may have hidden some from it."""
    return bool(tf.config.get_visible_devices("GPU"))


@contextlib.contextmanager
def plain_forms() -> Iterator[None]:
    """What is traced in it has the plain operations: an export, the same wherever it is made."""
    token = _ARE_PLAIN.set(True)
    try:
        yield
    finally:
        _ARE_PLAIN.reset(token)


def _are_wanted() -> bool:
    return has_gpu() and not _ARE_PLAIN.get()


def top_k(values: Tensor, k: Any) -> tuple[Tensor, Tensor]:
    """The `k` largest of each row in falling order, and where they are; of equals the first.

    Args:
        values: float32 `[B, n]`.
        k: integer, at most `n`.

    Returns:
        float32 and int32 `[B, k]`.
    """
    return top_k_in_groups(values, k, _GROUPS) if _are_wanted() else tf.math.top_k(values, k)


def top_k_in_groups(values: Tensor, k: Any, groups: int) -> tuple[Tensor, Tensor]:
    """As `top_k`: the largest of each group of neighbours first, and of these the largest."""
    batch, count = tf.unstack(tf.shape(values))
    size = (count + groups - 1) // groups
    # Behind all others: never taken, since there are `k` of those.
    padding = [[0, 0], [0, size * groups - count]]
    grouped = tf.pad(values, padding, constant_values=float("-inf"))
    some = tf.minimum(k, size)
    best, place = tf.math.top_k(tf.reshape(grouped, [batch * groups, size]), some)
    # As int64: TensorFlow has int32 arithmetic on the host alone.
    first = tf.range(groups, dtype=tf.int64) * tf.cast(size, tf.int64)
    place = tf.reshape(tf.cast(place, tf.int64), [batch, groups, some]) + first[:, None]
    best, chosen = tf.math.top_k(tf.reshape(best, [batch, -1]), k)
    place = tf.gather(tf.reshape(place, [batch, -1]), chosen, batch_dims=1)
    return best, tf.cast(place, tf.int32)


def add_bias(x: Tensor, bias: Tensor) -> Tensor:
    """`x + bias`, of `[..., C]` and `[C]` of one dtype."""
    if x.dtype in _SMALL_FLOATS and _are_wanted():
        return add_bias_by_product(x, bias)
    return ops.add(x, bias)


@tf.custom_gradient
def add_bias_by_product(x: Tensor, bias: Tensor) -> tuple[Tensor, Any]:
    """As `add_bias`; the bias' gradient is a product with ones, which sums in float32."""

    def gradient(upstream: Tensor) -> tuple[Tensor, Tensor]:
        rows = tf.reshape(upstream, [-1, bias.shape[0]])
        ones = tf.ones([1, tf.shape(rows)[0]], rows.dtype)
        return upstream, tf.linalg.matmul(ones, rows)[0]

    return tf.nn.bias_add(x, bias), gradient


def in_few_launches(update: Callable[[list[Tensor]], None]) -> Callable[[list[Tensor]], None]:
    """What XLA makes of an optimizer's update, a thousand small kernels otherwise.

    It shortens the time before the first step, too. With a distribution strategy, where steps run
    eagerly, and where XLA lacks a part of CUDA, the update stays as it is.

    Args:
        update: called with gradients, each a tensor or `None`.
    """
    if not has_gpu() or tf.executing_eagerly() or tf.distribute.has_strategy():
        return update
    return tf.function(update, jit_compile=True, autograph=False) if _xla_compiles() else update


@functools.cache
def _xla_compiles() -> bool:
    """Whether XLA has all that optimizers need; tells of it where not.

    TensorFlow itself runs on a GPU without CUDA's library of mathematical functions.
    """

    @tf.function(jit_compile=True, autograph=False)
    def power(x: Tensor) -> Tensor:
        return tf.pow(x, x)

    try:
        with tf.init_scope():
            power(tf.constant(1.5))
    except tf.errors.OpError as error:
        logger.warning(
            "XLA cannot compile for this GPU: %s. Training does without; "
            '`pip install "tensorflow[and-cuda]"` brings what it needs.',
            error.message.partition("\n")[0],
        )
        return False
    return True
