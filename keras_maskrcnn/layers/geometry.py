"""Base of the layers that handle coordinates."""

from __future__ import annotations

from typing import Any

import keras


class GeometryLayer(keras.layers.Layer):
    """A layer whose arithmetic stays in float32 under any dtype policy.

    bfloat16 holds 8 bits of a coordinate: 1003 would become 1004.
    """

    def __init__(self, **kwargs: Any) -> None:
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
