"""What an export traces: the model's weights under other layers and other thresholds."""

from __future__ import annotations

from typing import Any

import keras

from keras_maskrcnn.checks import at_least, fraction


def export_twin(
    model: Any, backend: str, thresholds: dict[str, Any]
) -> tuple[keras.Model, dict[str, Any]]:
    """A model that shares all weights with the given one, which stays as it is.

    Args:
        model: a `MaskRCNN`.
        backend: of its RoIAlign, see `ops.roi_align.roi_align_backend`.
        thresholds: `score_threshold`, `max_detections` and `nms_iou`, `None` for the model's own.

    Returns:
        a Functional model of the same inputs and outputs, and the thresholds that hold.

    Raises:
        ValueError: for a threshold outside its range.
    """
    own = model.network.box.settings
    given = {name: own[name] if value is None else value for name, value in thresholds.items()}
    fraction(score_threshold=given["score_threshold"], nms_iou=given["nms_iou"])
    at_least(1, max_detections=given["max_detections"])
    inputs = {
        "images": keras.Input((None, None, model.pixels.channels), dtype="float32", name="images"),
        "image_sizes": keras.Input((2,), dtype="int32", name="image_sizes"),
    }
    network = model.network.variant(backend=backend, **given)
    return keras.Model(inputs, network.inference(**inputs), name=model.name), given
