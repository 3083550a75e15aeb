"""What an exported model takes, as its server tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

PIXELS, FILES = "serving_default", "encoded"
_DTYPES = {"DT_UINT8": "uint8", "DT_UINT16": "uint16", "DT_FLOAT": "float32"}


@dataclass(frozen=True)
class PixelInput:
    """Type and channels of pictures as arrays."""

    dtype: np.dtype
    channels: int


def inputs_of(signatures: Mapping[str, Any]) -> dict[str, PixelInput | None]:
    """The signatures by name, with what that of pixels takes.

    Args:
        signatures: TensorFlow's `SignatureDef`s by name, as the JSON form has them.

    Raises:
        KeyError, TypeError, ValueError: where these are no such signatures.
    """
    found: dict[str, PixelInput | None] = dict.fromkeys(signatures)
    if PIXELS in signatures:
        tensor = signatures[PIXELS]["inputs"]["images"]
        channels = int(tensor["tensor_shape"]["dim"][-1]["size"])
        found[PIXELS] = PixelInput(np.dtype(_DTYPES[tensor["dtype"]]), channels)
    return found
