"""What the demo's training starts from: a model that knows letters and digits.

As a training on photographs starts from COCO's weights, that of the demo starts from a model which
learned on scenes of other things: letters and digits of four fonts, which `release/letters.py`
composes and trains on. None of the demo's things, and none of its validation pictures' photographs,
were in them.
"""

from __future__ import annotations

import os
from pathlib import Path

import keras
import numpy as np

WEIGHTS = Path(__file__).with_name("letters.npz")


def save_weights(model: keras.Model, file: str | os.PathLike[str]) -> None:
    """Writes a model's weights in float16, which take half the room."""
    arrays = {v.path: np.asarray(v, "float16") for v in _weights(model)}
    np.savez_compressed(file, allow_pickle=False, **arrays)


def start_from_letters(model: keras.Model, file: str | os.PathLike[str] = WEIGHTS) -> list[str]:
    """Gives a model the weights of one for other classes.

    Args:
        model: a `MaskRCNN` of `compact_settings`.
        file: of `save_weights`, of such a model.

    Returns:
        Paths of the weights that depend on the classes, which stay as they are.

    Raises:
        ValueError: when the file is of another architecture: another number of arrays, or one that
            differs in more than its last axis, which alone tells of classes.
    """
    weights = _weights(model)
    with np.load(file) as content:
        arrays = [content[name] for name in content.files]
    if len(arrays) != len(weights):
        raise ValueError(
            f"Expected the weights of a model of this architecture, {len(weights)} arrays. "
            f"Received: {len(arrays)} in {file}"
        )
    fresh = []
    for weight, array in zip(weights, arrays, strict=True):
        if weight.shape[:-1] != array.shape[:-1]:
            raise ValueError(
                f"Expected an array of shape {weight.shape} for {weight.path}, but for its last "
                f"axis. Received: {array.shape} in {file}"
            )
        if weight.shape == array.shape:
            weight.assign(array.astype("float32"))
        else:
            fresh.append(weight.path)
    return fresh


def _weights(model: keras.Model) -> list[keras.Variable]:
    """In the order of the layers, statistics of norms included, states of samplers not."""
    return [v for v in model.variables if "seed" not in v.path]
