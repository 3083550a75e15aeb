"""The normalisations that a config may name."""

from __future__ import annotations

from typing import Any

import keras

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
