"""From a server's answer to `Detections`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_maskrcnn.results import Detections

_EXPECTED = ("boxes", "classes", "scores", "counts", "image_sizes")


def to_detections(outputs: Mapping[str, Any]) -> Detections:
    """What the server found in one picture.

    Args:
        outputs: one picture's row of each output of an exported model, arrays or nested lists; see
            `keras_maskrcnn.export.export_model`.

    Returns:
        as `MaskRCNN.predict` gives it. An answer without `class_names` gives `class_0` and so on.

    Raises:
        ValueError: for outputs of another kind of model.
    """
    missing = [name for name in _EXPECTED if name not in outputs]
    if missing:
        raise ValueError(
            f"expected the outputs of an exported MaskRCNN, {missing} too. "
            f"Received: outputs {sorted(outputs)}"
        )
    count = int(outputs["counts"])

    def valid(name: str) -> np.ndarray:
        return np.asarray(outputs[name])[:count]

    height, width = outputs["image_sizes"]
    return Detections(
        boxes=valid("boxes"),
        classes=valid("classes"),
        scores=valid("scores"),
        mask_probabilities=valid("masks") if "masks" in outputs else None,
        image_size=(height, width),
        class_names=[_text(name) for name in outputs.get("class_names", ())],
        keypoints=valid("keypoints") if "keypoints" in outputs else None,
    )


def _text(name: str | bytes) -> str:
    return name.decode("utf-8") if isinstance(name, bytes) else str(name)
