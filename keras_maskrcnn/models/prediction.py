"""From pictures of any size to `Detections` in their own pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_maskrcnn.data.pipeline import read_image, resize_image, resize_shape
from keras_maskrcnn.detections import Detections


def predict_pictures(model: Any, pictures: Any, batch_size: int, show: bool) -> list[Detections]:
    """`MaskRCNN.predict` for paths and arrays.

    Raises:
        TypeError, ValueError: for what is no picture, with its position.
    """
    if isinstance(pictures, Mapping):
        raise TypeError(
            "predict takes pictures or a data set; predict_on_batch takes a dict of images and "
            f"image_sizes. Received: a dict with {sorted(pictures)}"
        )
    # A tensor counts as an array.
    single = isinstance(pictures, str | Path) or len(getattr(pictures, "shape", ())) == 3
    items = [pictures] if single else list(pictures)
    progress = keras.utils.Progbar(len(items), unit_name="picture") if show else None
    results: list[Detections] = []
    for start in range(0, len(items), batch_size):
        batch = [
            _as_picture(item, start + i) for i, item in enumerate(items[start : start + batch_size])
        ]
        results.extend(_predict_batch(model, batch))
        if progress is not None:
            progress.update(len(results))
    return results


def _as_picture(item: Any, position: int) -> np.ndarray:
    if isinstance(item, str | Path):
        return read_image(str(item))
    picture = np.asarray(item)
    if picture.ndim != 3 or picture.shape[-1] != 3 or 0 in picture.shape:
        raise ValueError(
            "a picture must be an array [height, width, 3] with values 0..255, or a path. "
            f"Received: picture {position} of shape {picture.shape}, dtype {picture.dtype}"
        )
    return picture


def _predict_batch(model: Any, pictures: list[np.ndarray]) -> list[Detections]:
    config = model.config
    shapes = [
        resize_shape(p.shape[0], p.shape[1], config.min_size, config.max_size) for p in pictures
    ]
    divisor = config.size_divisor
    height, width = (-(-max(sides) // divisor) * divisor for sides in zip(*shapes, strict=True))
    images = np.zeros((len(pictures), height, width, 3), "float32")
    for image, picture, (h, w) in zip(images, pictures, shapes, strict=True):
        image[:h, :w] = np.asarray(resize_image(picture, (h, w)))
    sizes = np.array(shapes, "int32")
    outputs = model.predict_on_batch({"images": images, "image_sizes": sizes})
    originals = [p.shape[:2] for p in pictures]
    return list(_unpack(model, outputs, sizes, originals))


def predict_dataset(model: Any, dataset: Any, show: bool) -> list[Detections]:
    """`MaskRCNN.predict` for a data set of `(images, targets)`."""
    cardinality = int(dataset.cardinality())
    progress = keras.utils.Progbar(cardinality if cardinality > 0 else None) if show else None
    results: list[Detections] = []
    for step, (images, targets) in enumerate(dataset, start=1):
        sizes = targets["image_sizes"].numpy()
        outputs = model.predict_on_batch({"images": images, "image_sizes": sizes})
        originals = targets["original_sizes"].numpy()
        results.extend(_unpack(model, outputs, sizes, originals))
        if progress is not None:
            progress.update(step)
    return results


def _unpack(
    model: Any, outputs: dict[str, np.ndarray], sizes: Any, originals: Any
) -> Iterator[Detections]:
    for row, (size, original) in enumerate(zip(sizes, originals, strict=True)):
        yield Detections.from_padded(
            outputs,
            row,
            image_size=size,
            original_size=original,
            class_names=model.class_names,
            keypoint_shift=model.config.keypoint_shift,
        )
