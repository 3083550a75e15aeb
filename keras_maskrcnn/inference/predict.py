"""From pictures of any size to `Detections` in their own pixels."""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.inference.augmented import as_augmentation, predict_augmented
from keras_maskrcnn.inference.inputs import as_picture, network_inputs
from keras_maskrcnn.inference.tiling import Tiling, as_tiling
from keras_maskrcnn.inference.tiling.pictures import as_large_picture
from keras_maskrcnn.inference.tiling.predict import model_finder, predict_tiled
from keras_maskrcnn.models.input_checks import SizeCheck, check_elements, check_images, shown
from keras_maskrcnn.results import Detections, KnownPicture

logger = logging.getLogger("keras_maskrcnn")


def predict_pictures(
    model: Any,
    pictures: Any,
    batch_size: int,
    show: bool,
    augment: Any,
    tile: Any = None,
    overlap: int | None = None,
) -> list[Detections]:
    """`MaskRCNN.predict` for paths, arrays, Pillow's pictures and a `DetectionData`.

    Raises:
        TypeError, ValueError: for what is no picture, with its position.
    """
    augmentation, tiling = as_augmentation(augment), as_tiling(tile, overlap)
    if augmentation is not None and tiling is not None:
        raise ValueError(
            "augment looks at whole pictures in several sizes, tile at parts of their own: give "
            f"one of them. Received: augment={augment}, tile={tiling}"
        )
    items = _as_list(model, pictures)
    shown_as = pictures.pixels if isinstance(pictures, DetectionData) else model.pixels
    if tiling is not None:
        return [
            dataclasses.replace(found, picture=KnownPicture(item, shown_as))
            for item, found in zip(
                items, _tiled(model, items, tiling, batch_size, show), strict=True
            )
        ]
    progress = keras.utils.Progbar(len(items), unit_name="picture") if show else None
    results: list[Detections] = []
    for start in range(0, len(items), batch_size):
        part = items[start : start + batch_size]
        batch = [as_picture(item, start + i, model.pixels) for i, item in enumerate(part)]
        if augmentation is None:
            found = predict_batch(model, batch)
        else:
            found = [predict_augmented(model, picture, augmentation) for picture in batch]
        results.extend(
            dataclasses.replace(one, picture=KnownPicture(item, shown_as))
            for one, item in zip(found, part, strict=True)
        )
        if progress is not None:
            progress.update(len(results))
    return results


def _as_list(model: Any, pictures: Any) -> list[Any]:
    if isinstance(pictures, DetectionData):
        model.pixels.require_like(pictures.pixels, f"the data set {pictures.name!r}")
        return [record.path for record in pictures.records]
    if isinstance(pictures, Mapping):
        advice = "predict_on_batch takes a dict of images and image_sizes"
        if "images" in pictures and not hasattr(pictures["images"], "shape"):
            advice = "keras_maskrcnn.load_coco(file, pictures) reads COCO annotations"
        raise TypeError(
            f"predict takes pictures or a data set; {advice}. "
            f"Received: a dict with {shown(sorted(map(str, pictures)))}"
        )
    if isinstance(pictures, str | Path | Image.Image):
        return [pictures]
    # A tensor counts as an array. A row of one is no picture.
    shape = getattr(pictures, "shape", None)
    if shape is not None and len(shape) != 4:
        return [pictures]
    if not isinstance(pictures, Iterable) or isinstance(pictures, bytes):
        raise TypeError(
            "predict takes a picture's path, an array [height, width, 3] or a picture of Pillow, "
            f"a list of these, or a data set. Received: {type(pictures).__name__}"
        )
    return list(pictures)


def predict_batch(model: Any, pictures: list[np.ndarray]) -> list[Detections]:
    """What is in pictures `[h, w, C]` on the scale 0..255, which the model sees side by side."""
    inputs = network_inputs(pictures, model.input_size)
    outputs = model.predict_on_batch(inputs)
    originals = [p.shape[:2] for p in pictures]
    return list(_unpack(model, outputs, inputs["image_sizes"], originals))


def _tiled(
    model: Any, items: list[Any], tiling: Tiling, batch_size: int, show: bool
) -> Iterator[Detections]:
    find = model_finder(model)
    for position, item in enumerate(items):
        bar = keras.utils.Progbar(None, verbose=int(show), unit_name="tile")
        yield predict_tiled(
            find,
            as_large_picture(item, position, model.pixels),
            tiling,
            model.class_names,
            batch_size,
            tell=functools.partial(_show_tiles, bar),
        )


def _show_tiles(bar: keras.utils.Progbar, done: int, count: int) -> None:
    bar.target = count
    bar.update(done)


def predict_dataset(
    model: Any, dataset: Any, show: bool, augment: Any = None, tile: Any = None
) -> list[Detections]:
    """`MaskRCNN.predict` for a data set of `(images, targets)`.

    Raises:
        ValueError: when its elements are not such batches, or its pictures should be augmented.
    """
    if as_augmentation(augment) is not None:
        raise ValueError(
            "augment resizes the pictures as they are on disk: give predict their paths or the "
            f"DetectionData. Received: augment={augment} with batches"
        )
    if tile is not None:
        raise ValueError(
            "tile looks at the pictures as they are on disk: give predict their paths or the "
            f"DetectionData. Received: tile={tile} with batches"
        )
    check_elements(dataset.element_spec, ("image_sizes", "original_sizes"))
    cardinality = int(dataset.cardinality())
    progress = keras.utils.Progbar(cardinality if cardinality > 0 else None) if show else None
    results: list[Detections] = []
    for step, (images, targets) in enumerate(dataset, start=1):
        sizes = targets["image_sizes"].numpy()
        if step == 1:
            ids = targets.get("image_ids")
            ids = None if ids is None else ids.numpy()
            check_images(images.numpy(), sizes, ids, model.pixels)
            difference = SizeCheck(model.input_size, drawn=False).add(sizes)
            if difference is not None:
                logger.warning("%s", difference)
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
            keypoint_shift=model.keypoint_shift,
        )
