"""What ONNX files of either network are given, and what they found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from worker import detections, picture

# In the order of the fields in torchvision's results.
TORCHVISION_OUTPUTS = ("boxes", "labels", "scores", "masks")


def torchvision_names(field: str, batch: int) -> list[str]:
    """Of the tensors of a file of torchvision's network, which has one for each picture."""
    return [f"{field}_{i}" for i in range(batch)]


def network_inputs(case: Mapping[str, Any], first: int = 0) -> dict[str, np.ndarray]:
    """A batch.

    Args:
        case: has `network`, too.
        first: seed of the first picture.
    """
    (height, width), batch = case["size"], case["batch"]
    pictures = [picture(height, width, first + i).astype("float32") for i in range(batch)]
    if case["network"] == "ours":
        sizes = np.array([[height, width]] * batch, "int32")
        return {"images": np.stack(pictures), "image_sizes": sizes}
    channels_first = [np.ascontiguousarray(one.transpose(2, 0, 1)) / 255 for one in pictures]
    return dict(zip(torchvision_names("image", batch), channels_first, strict=True))


def what_was_found(
    case: Mapping[str, Any], outputs: Mapping[str, np.ndarray]
) -> dict[str, list[Any]]:
    """As `worker.detections`."""
    if case["network"] == "ours":
        return detections(
            [
                scores[:count]
                for scores, count in zip(outputs["scores"], outputs["counts"], strict=True)
            ]
        )
    return detections([outputs[name] for name in torchvision_names("scores", case["batch"])])
