"""The normalisations that a setting may name."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_maskrcnn.checks import one_of
from keras_maskrcnn.layers.frozen_batch_norm import FrozenBatchNormalization

NORMS = ("frozen", "frozen_statistics", "batch", "sync_batch", "group")

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' batch normalisation with statistics of the real rows only.

    Keras' own `mask` is forgotten by `synchronized`, and without any real row its moving statistics
    would go towards 0; here they stay as they are.

    Call arguments:
        inputs: `[n, h, w, C]`.
        training: for statistics of the batch, of all replicas with `synchronized`.
        mask: bool `[n, h, w]`, which cells count for statistics; by default all.

    Returns:
        `[n, h, w, C]`, masked cells normalised alike.
    """

    def call(
        self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None
    ) -> Tensor:
        if mask is None or not (training and self.trainable):
            return super().call(inputs, training=training)
        x = ops.cast(inputs, "float32")
        mean, variance = self.masked_moments(x, mask)
        for stored, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            stored.assign(stored * self.momentum + value * (1.0 - self.momentum))
        normalised = ops.batch_normalization(
            x,
            mean,
            variance,
            axis=-1,
            offset=self.beta if self.center else None,
            scale=self.gamma if self.scale else None,
            epsilon=self.epsilon,
        )
        return ops.cast(normalised, self.compute_dtype)

    def masked_moments(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance `[C]` of the cells that count; the stored ones where none does."""
        weights = ops.cast(mask, x.dtype)[..., None]
        count = self._total(ops.sum(weights))

        def mean_of(values: Tensor) -> Tensor:
            total = self._total(ops.sum(values * weights, axis=(0, 1, 2)))
            return total / ops.maximum(count, 1.0)

        mean = mean_of(x)
        variance = mean_of(ops.square(x - mean))
        return (
            ops.where(count > 0, mean, self.moving_mean),
            ops.where(count > 0, variance, self.moving_variance),
        )

    def _total(self, value: Tensor) -> Tensor:
        """Sum over the replicas that share their statistics."""
        context = tf.distribute.get_replica_context() if self.synchronized else None
        return value if context is None else context.all_reduce(tf.distribute.ReduceOp.SUM, value)


def make_norm(kind: str, epsilon: float, **kwargs: Any) -> keras.layers.Layer:
    """A normalisation layer over the channels.

    Args:
        kind: one of `NORMS`; `"group"` takes 32 groups.
        epsilon: added to the variance.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: for an unknown `kind`.
    """
    one_of("norm", kind, NORMS)
    if kind in ("frozen", "frozen_statistics"):
        return FrozenBatchNormalization(epsilon, train_affine=kind == "frozen_statistics", **kwargs)
    if kind in ("batch", "sync_batch"):
        # Momentum as in the reference implementations (0.1 of the new value).
        return BatchNormalization(
            epsilon=epsilon, momentum=0.9, synchronized=kind == "sync_batch", **kwargs
        )
    return keras.layers.GroupNormalization(groups=32, epsilon=epsilon, **kwargs)


def stored_scale_and_shift(
    norm: keras.layers.Layer | None, training: bool
) -> tuple[Any, Any] | None:
    """What a norm by stored statistics does to each channel: `x * scale + shift`.

    Args:
        norm: what `make_norm` gave, built.
        training: whether what trains of the norm does so now. Then there is nothing to fold: batch
            statistics depend on the input, and a scale's gradient taken through a kernel would be
            the small difference of two large sums.

    Returns:
        two float32 `[channels]`, or `None`.
    """
    if training and norm is not None and norm.trainable_variables:
        return None
    if isinstance(norm, FrozenBatchNormalization):
        return norm.scale_and_shift()
    if isinstance(norm, keras.layers.BatchNormalization):
        scale = norm.gamma * ops.rsqrt(norm.moving_variance + norm.epsilon)
        return scale, norm.beta - norm.moving_mean * scale
    return None
