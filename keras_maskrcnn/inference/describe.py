"""The second half of inference alone: what is in boxes that are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_maskrcnn.data.pipeline import resize_image
from keras_maskrcnn.detections import Detections


def describe_boxes(
    model: Any, picture: np.ndarray, boxes: Any, classes: Sequence[int | str] | None
) -> Detections:
    """`MaskRCNN.describe` for a picture that is read already.

    Args:
        model: a `MaskRCNN`.
        picture: `[h, w, C]`, on the scale 0..255.
        boxes: `[D, 4]`, x1 y1 x2 y2 in its pixels.
        classes: names or indices, or `None`.
    """
    height, width = picture.shape[:2]
    given = np.asarray(boxes, "float64").reshape(-1, 4)
    if not np.isfinite(given).all() or not (given[:, 2:] > given[:, :2]).all():
        bad = given[~(given[:, 2:] > given[:, :2]).all(axis=1)][:3]
        raise ValueError(
            "boxes must be [D, 4], x1 y1 x2 y2 with x1 < x2 and y1 < y2, in pixels of the picture. "
            f"Received: boxes {bad.tolist()}"
        )
    numbers = np.full(len(given), model.num_classes, "int32")
    if classes is not None:
        numbers = np.array([_class_index(model, c) for c in classes], "int32")
        if len(numbers) != len(given):
            raise ValueError(
                f"classes must be one for each of the {len(given)} boxes. "
                f"Received: {len(numbers)} classes"
            )
    size = model.input_size.resized(height, width)
    padded = model.input_size.padded([size])
    image = np.zeros((1, *padded, picture.shape[2]), "float32")
    image[0, : size[0], : size[1]] = np.asarray(resize_image(picture, size))
    scale = np.array([size[1] / width, size[0] / height] * 2)
    # A slot more, so that there is one where no box was given.
    inner = np.concatenate([given * scale, np.zeros((1, 4))]).astype("float32")
    outputs = model.description_graph().predict_on_batch(
        {
            "images": image,
            "image_sizes": np.array([size], "int32"),
            "boxes": inner[None],
            "classes": np.append(numbers, -1)[None].astype("int32"),
        }
    )
    return Detections.from_padded(
        outputs,
        0,
        image_size=size,
        original_size=(height, width),
        class_names=model.class_names,
    )


def _class_index(model: Any, value: int | str) -> int:
    names = list(model.class_names)
    if isinstance(value, str) and value in names:
        return names.index(value)
    if not isinstance(value, str) and 0 <= int(value) < len(names):
        return int(value)
    raise ValueError(f"classes must be among {names}, or 0..{len(names) - 1}. Received: {value!r}")
