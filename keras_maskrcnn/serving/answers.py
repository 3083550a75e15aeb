"""What the server's own addresses answer, and how it tells errors."""

from __future__ import annotations

from typing import Any

import numpy as np
from starlette.responses import Response

from keras_maskrcnn.results import Detections
from keras_maskrcnn.serving.model import ServedModel
from keras_maskrcnn.serving.requests import RequestError
from keras_maskrcnn.serving.rest import shortest, to_json


def detections_answer(
    outputs: dict[str, np.ndarray], model: ServedModel, orientation: int
) -> bytes:
    """What `/detect` answers: the objects of one picture, with names and full-size masks.

    Args:
        outputs: of the model, for one picture.
        model: it.
        orientation: EXIF's, that was applied to the picture.
    """
    count = int(outputs["counts"][0])
    height, width = (int(side) for side in outputs["image_sizes"][0])

    def rows(name: str) -> np.ndarray | None:
        return outputs[name][0][:count] if name in outputs else None

    found = Detections(
        boxes=outputs["boxes"][0][:count],
        classes=outputs["classes"][0][:count],
        scores=outputs["scores"][0][:count],
        mask_probabilities=rows("masks"),
        image_size=(height, width),
        class_names=model.class_names,
        keypoints=rows("keypoints"),
    )
    fields: dict[str, Any] = {
        "name": found.names.tolist(),
        "class": found.classes.tolist(),
        "score": shortest(found.scores),
        "box": shortest(found.boxes),
    }
    if found.has_masks:
        fields["mask"] = found.rles()
    if found.keypoints is not None:
        fields["keypoints"] = shortest(found.keypoints)
    objects = [
        dict(zip(fields, values, strict=True)) for values in zip(*fields.values(), strict=True)
    ]
    answer = {
        "model": {"name": model.name, "version": model.version},
        "width": width,
        "height": height,
        "exif_orientation": orientation,
        "detections": objects,
    }
    return to_json(answer)


def error_answer(error: RequestError) -> Response:
    """The reason in words, and for programs the position of the picture that is to blame."""
    content: dict[str, Any] = {"error": error.message}
    if error.picture is not None:
        content["picture"] = error.picture
    return Response(to_json(content), error.status, error.headers, "application/json")
