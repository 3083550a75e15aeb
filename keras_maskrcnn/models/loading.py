"""Opens what `MaskRCNN.save` wrote."""

from __future__ import annotations

import os
from typing import Any

import keras

from keras_maskrcnn.models.mask_rcnn import MaskRCNN


def load_model(filepath: str | os.PathLike[str], **options: Any) -> MaskRCNN:
    """Loads a model whole, training state included, with nothing imported before.

    `keras.saving.load_model` does the same once `MaskRCNN` has been imported: Keras imports no
    classes of other packages by itself.

    Args:
        filepath: of a `.keras` file.
        **options: of `keras.saving.load_model`: `compile`, `custom_objects`, `safe_mode`.

    Raises:
        ValueError: when there is no such file, or it holds another model.
    """
    model = keras.saving.load_model(filepath, **options)
    if not isinstance(model, MaskRCNN):
        raise ValueError(
            f"Expected a MaskRCNN in {os.fspath(filepath)}. Received: {type(model).__name__}"
        )
    return model
