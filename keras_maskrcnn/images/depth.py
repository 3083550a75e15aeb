"""Pictures of more than 8 bits, for eyes and for files that hold 8."""

from __future__ import annotations

import numpy as np


def to_bytes(image: np.ndarray) -> np.ndarray:
    """uint8 of a picture with values 0..255, rounded; for drawing and statistics only."""
    if image.dtype == np.uint8:
        return image
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
