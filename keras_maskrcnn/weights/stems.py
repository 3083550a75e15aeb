"""Pre-trained first layers, which know three channels, for pictures of any number.

Legend: `C` channels of the pictures.
"""

from __future__ import annotations

import numpy as np


def fit_stem(kernel: np.ndarray, channels: int) -> np.ndarray:
    """A stem's kernel for pictures of other channels than the three it was trained with.

    The first three channels keep their part, and each further one gets the mean of the three, all
    times 3 / C; with fewer channels, each gets the sum over C. So a picture whose channels are all
    alike gets the answer that a grey RGB picture gets.

    Args:
        kernel: `[h, w, 3, filters]`.
        channels: `C`.

    Returns:
        `[h, w, C, filters]` of the same type.
    """
    if channels == 3:
        return kernel
    wide = kernel.astype(np.float64)
    if channels < 3:
        fitted = np.repeat(wide.sum(axis=2, keepdims=True) / channels, channels, axis=2)
    else:
        further = np.repeat(wide.mean(axis=2, keepdims=True), channels - 3, axis=2)
        fitted = np.concatenate([wide, further], axis=2) * (3 / channels)
    return fitted.astype(kernel.dtype)


def is_stem_of(kernel: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether a kernel differs from the shape that is wanted only in that it is for RGB."""
    if kernel.ndim != 4 or len(shape) != 4 or kernel.shape[2] != 3:
        return False
    return shape[2] != 3 and (*kernel.shape[:2], kernel.shape[3]) == (*shape[:2], shape[3])


def told(path: str, channels: int, trains: bool) -> str:
    """For a report: what became of the stem's kernel, a variable of that path."""
    rule = "each has the sum of the three over their number"
    if channels > 3:
        rule = f"the further ones have the mean of the three, all times 3/{channels}"
    learns = "it is trained" if trains else "it is not trained"
    return f"{path}: of 3 channels for {channels}: {rule}; {learns}"
