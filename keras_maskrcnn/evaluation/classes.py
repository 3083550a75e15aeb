"""Which of a model's classes is which of a data set's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from keras_maskrcnn.data.detection_data import DetectionData


def match_classes(model: Any, data: DetectionData) -> np.ndarray:
    """Finds each class of a model in a data set, by name where the model knows names.

    A model may know more classes than the data has: torchvision's COCO models count to 90.

    Args:
        model: a `MaskRCNN`.
        data: the data set.

    Returns:
        int array `[K]`: the data's class for each of the model's, -1 for one that the data lacks.

    Raises:
        ValueError: when the data has a class that the model does not know, or the model has no
            names and another number of classes.
    """
    names = list(model.given_class_names)
    if not names:
        if model.num_classes != len(data.class_names):
            raise ValueError(
                f"Expected {model.num_classes} classes in {data.name}, as the model has. "
                f"Received: {len(data.class_names)} classes {list(data.class_names)}"
            )
        return np.arange(model.num_classes)
    unknown = [name for name in data.class_names if name not in names]
    if unknown:
        raise ValueError(
            f"The model does not know these classes of {data.name}: {unknown}. Its own are {names}"
        )
    position = {name: k for k, name in enumerate(data.class_names)}
    return np.array([position.get(name, -1) for name in names])
