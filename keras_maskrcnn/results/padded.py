"""From a model's padded outputs to the objects of one picture; `Detections` has a method for it.

Legend: `B` pictures, `D` objects, `M` mask side, `J` keypoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from keras_maskrcnn.results.detections import Detections

# What a model's outputs are called that are fields of `Detections`, or of no use for one picture.
_OWN_OUTPUTS = ("boxes", "classes", "scores", "counts", "masks", "keypoints")


def from_padded(
    cls: type[Detections],
    outputs: Mapping[str, Any],
    row: int,
    image_size: Sequence[int],
    original_size: Sequence[int],
    class_names: Sequence[str],
    keypoint_shift: float,
) -> Detections:
    """See `Detections.from_padded`."""
    height, width = (int(v) for v in original_size)
    scale = np.array([width / image_size[1], height / image_size[0]], "float64")
    count = int(outputs["counts"][row])

    def valid(name: str) -> np.ndarray | None:
        value = outputs.get(name)
        return None if value is None else np.array(value[row][:count])

    boxes = np.asarray(outputs["boxes"][row][:count], "float64") * np.tile(scale, 2)
    boxes = np.clip(boxes, 0.0, [width, height, width, height])
    keypoints = valid("keypoints")
    if keypoints is not None:
        keypoints[..., :2] = keypoints[..., :2] * scale + keypoint_shift
    found = cls(
        boxes=boxes,
        classes=outputs["classes"][row][:count],
        scores=outputs["scores"][row][:count],
        mask_probabilities=valid("masks"),
        image_size=(height, width),
        class_names=class_names,
        keypoints=keypoints,
        extras={
            name: np.array(value[row][:count])
            for name, value in outputs.items()
            if name not in _OWN_OUTPUTS
        },
    )
    return found[(found.boxes[:, 2:] > found.boxes[:, :2]).all(axis=1)]
