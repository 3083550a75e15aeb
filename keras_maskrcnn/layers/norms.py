"""The normalisations that a config may name."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_maskrcnn.layers.frozen_batch_norm import FrozenBatchNormalization


def make_norm(kind: str, epsilon: float, **kwargs: Any) -> keras.layers.Layer:
    """A normalisation layer over the channels.

    Args:
        kind: one of `config.NORMS`; `"group"` takes 32 groups.
        epsilon: added to the variance.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: for an unknown `kind`.
    """
    if kind in ("frozen", "frozen_statistics"):
        return FrozenBatchNormalization(epsilon, train_affine=kind == "frozen_statistics", **kwargs)
    if kind in ("batch", "sync_batch"):
        # Momentum as in the reference implementations (0.1 of the new value).
        return keras.layers.BatchNormalization(
            epsilon=epsilon, momentum=0.9, synchronized=kind == "sync_batch", **kwargs
        )
    if kind == "group":
        return keras.layers.GroupNormalization(groups=32, epsilon=epsilon, **kwargs)
    raise ValueError(
        "norm must be one of ('frozen', 'frozen_statistics', 'batch', 'sync_batch', 'group'). "
        f"Received: norm={kind!r}"
    )


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
