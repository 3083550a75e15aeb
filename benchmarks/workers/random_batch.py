"""A batch to train on, of noise."""

from __future__ import annotations

from typing import Any

PICTURES, OBJECTS = 2, 4


def random_batch(side: int, classes: int, keypoints: int = 0) -> tuple[Any, dict[str, Any]]:
    """Pictures and targets as `MaskRCNN` trains on them.

    Args:
        side: pixels of both sides of a picture.
        classes: how many there are.
        keypoints: of each object.
    """
    import numpy as np

    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 0.5 * side, (PICTURES, OBJECTS, 2))
    targets = {
        "image_sizes": np.full((PICTURES, 2), side, "int32"),
        "boxes": np.concatenate([corners, corners + 0.4 * side], axis=-1).astype("float32"),
        "classes": rng.integers(0, classes, (PICTURES, OBJECTS)).astype("int32"),
        "masks": np.full((PICTURES, OBJECTS, 112, 112), 255, "uint8"),
        "crowd_boxes": np.zeros((PICTURES, 1, 4), "float32"),
    }
    if keypoints:
        points = corners[:, :, None] + rng.uniform(0, 0.4 * side, (PICTURES, OBJECTS, keypoints, 2))
        seen = np.full((*points.shape[:3], 1), 2.0)
        targets["keypoints"] = np.concatenate([points, seen], axis=-1).astype("float32")
    return rng.uniform(0, 255, (PICTURES, side, side, 3)).astype("float32"), targets
