"""The second half of inference alone: what is in boxes that are given."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_maskrcnn.inference.inputs import as_picture, network_inputs
from keras_maskrcnn.results import Detections, KnownPicture


def describe_boxes(
    model: Any, picture: Any, boxes: Any, classes: Sequence[int | str] | None
) -> Detections:
    """See `MaskRCNN.describe`."""
    image = as_picture(picture, 0, model.pixels)
    height, width = image.shape[:2]
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
    inputs = network_inputs([image], model.input_size)
    (size,) = inputs["image_sizes"]
    scale = np.array([size[1] / width, size[0] / height] * 2)
    found = Detections.from_padded(
        describe_inputs(model, inputs, given * scale, numbers),
        0,
        image_size=size,
        original_size=(height, width),
        class_names=model.class_names,
        keypoint_shift=model.keypoint_shift,
    )
    return dataclasses.replace(found, picture=KnownPicture(picture, model.pixels))


def describe_inputs(
    model: Any, inputs: dict[str, np.ndarray], boxes: np.ndarray, classes: np.ndarray
) -> dict[str, np.ndarray]:
    """The second half of inference, for one picture as the network takes it.

    Args:
        model: a `MaskRCNN`.
        inputs: of `network_inputs`.
        boxes: `[D, 4]` in pixels of the input.
        classes: `[D]`, see `Network.description`.

    Returns:
        the outputs for `D` boxes and one slot of padding, so that there is one where none is given.
    """
    padded = np.concatenate([boxes, np.zeros((1, 4))]).astype("float32")
    numbers = np.append(classes, -1).astype("int32")
    return model.description_graph().predict_on_batch(
        {**inputs, "boxes": padded[None], "classes": numbers[None]}
    )


def _class_index(model: Any, value: int | str) -> int:
    names = list(model.class_names)
    if isinstance(value, str) and value in names:
        return names.index(value)
    if not isinstance(value, str) and 0 <= int(value) < len(names):
        return int(value)
    raise ValueError(f"classes must be among {names}, or 0..{len(names) - 1}. Received: {value!r}")
