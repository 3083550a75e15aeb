"""What `fit` and `evaluate` take as data, and how its first batch is checked as it passes."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.images.pixels import PixelFormat
from keras_maskrcnn.models.input_checks import (
    SizeCheck,
    check_elements,
    described,
    shown,
)
from keras_maskrcnn.models.network import Network
from keras_maskrcnn.models.objective import join_targets, needed_targets, require_masks
from keras_maskrcnn.models.target_checks import check_batch

# Pictures per step where the data comes without batches: for which `compile`'s learning rate is.
_BATCH_SIZE = 2

logger = logging.getLogger("keras_maskrcnn")


def as_batches(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    batch_size: int | None = None,
    training: bool = False,
    shuffle: bool = False,
) -> tuple[Any, Any, int | None]:
    """Data for Keras' `fit` or `evaluate`, whose first batch is checked when it is read.

    Nothing is read twice or ahead of time: a pass over the data stays one pass.

    Args:
        model: a `MaskRCNN`.
        x: a `tf.data.Dataset`, `PyDataset` or generator of `(images, targets)`, a
            `DetectionData`, or an array of images.
        y: dict of targets, with an array of images.
        batch_size: of a `DetectionData` or of arrays; by default 2.
        training: whether pictures may have various sizes on purpose.
        shuffle: whether a `DetectionData` is read in a new order in each pass.

    Returns:
        `x`, `y` and `batch_size` for Keras.

    Raises:
        TypeError: when `x` is none of these.
        ValueError: when the data cannot be that of the model.
    """
    if isinstance(x, DetectionData):
        _check_class_names(model, x)
        model.pixels.require_like(x.pixels, f"the data set {x.name!r}")
        x = x.batches(
            _BATCH_SIZE if batch_size is None else batch_size,
            model=model,
            shuffle=shuffle,
            seed=model.seed,
        )
    first = _FirstBatch(model.network, model.pixels, SizeCheck(model.input_size, drawn=training))
    first.sizes.decided = getattr(x, "is_tiled", False)  # What `predict` makes of tiles is no size.
    if isinstance(x, tf.data.Dataset):
        spec = x.element_spec
        if isinstance(spec, tuple) and len(spec) == 2 and isinstance(spec[1], dict):
            require_masks(model.network, spec[1])
        check_elements(spec, needed_targets(model.network))
        return x.map(first.watch), y, None
    if isinstance(x, tf.distribute.DistributedDataset):
        # Its elements are spread over the devices already, and cannot be looked at as they pass.
        return x, y, None
    if inspect.isgenerator(x):
        return first.follow(x), y, None
    if isinstance(x, keras.utils.PyDataset):
        # By index, so that reading it again is no loss.
        first.check(x[0])
        return x, y, None
    if hasattr(x, "__array__") and len(getattr(x, "shape", ())) > 0 and isinstance(y, dict):
        size = _BATCH_SIZE if batch_size is None else batch_size
        first.check((x[:size], {name: value[:size] for name, value in y.items()}))
        return x, y, size
    raise TypeError(f"{_ACCEPTED}{_advice(x)}. Received: x={described(x)}")


def fit_arguments(model: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Arguments for Keras' `fit` from those of `MaskRCNN.fit`: `as_batches` for both data sets."""
    batch_size, shuffle = given.get("batch_size"), given.get("shuffle", True)
    x, y, size = as_batches(
        model,
        given["x"],
        given["y"],
        batch_size=batch_size,
        training=True,
        shuffle=bool(shuffle),
    )
    # Data sets shuffle themselves; Keras would warn that it cannot.
    can_shuffle = y is not None or isinstance(x, keras.utils.PyDataset)
    arguments = {**given, "x": x, "y": y, "batch_size": size, "shuffle": can_shuffle and shuffle}
    validation = given.get("validation_data")
    if validation is not None:
        size = given.get("validation_batch_size") or batch_size
        parts = validation if isinstance(validation, tuple | list) else (validation,)
        if len(parts) > 2:
            raise ValueError(
                f"MaskRCNN does not weight samples. Received: validation_data of {len(parts)} parts"
            )
        x, y, size = as_batches(model, *parts, batch_size=size)
        arguments["validation_data"] = x if y is None else (x, y)
        arguments["validation_batch_size"] = size
    return arguments


class _FirstBatch:
    """Checks the first batch that passes, once, however often the data is read."""

    def __init__(self, network: Network, pixels: PixelFormat, sizes: SizeCheck) -> None:
        self.network = network
        self.pixels = pixels
        self.sizes = sizes
        self.checked = False

    def check(self, batch: Any) -> None:
        """Checks `(images, targets)` of arrays or tensors."""
        _, targets = join_targets(self.network, batch)
        arrays = {name: np.asarray(value) for name, value in targets.items()}
        if not self.checked:
            check_batch(np.asarray(batch[0]), arrays, self.network, self.pixels)
            self.checked = True
        if not self.sizes.decided:
            found = self.sizes.add(arrays["image_sizes"])
            if found is not None:
                logger.warning("%s", found)

    def follow(self, batches: Iterator[Any]) -> Iterator[Any]:
        """The batches of a generator."""
        for batch in batches:
            if not (self.checked and self.sizes.decided):
                self.check(batch)
            yield batch

    def watch(self, images: tf.Tensor, targets: dict[str, tf.Tensor]) -> Any:
        """For `tf.data.Dataset.map`. Once all is known, a batch passes without being looked at."""
        names = list(targets)

        def check(images: np.ndarray, *values: np.ndarray) -> bool:
            self.check((images, dict(zip(names, values, strict=True))))
            return True

        done = tf.cond(
            tf.numpy_function(lambda: self.checked and self.sizes.decided, [], tf.bool),
            lambda: tf.constant(True),
            lambda: tf.numpy_function(check, [images, *targets.values()], tf.bool),
        )
        with tf.control_dependencies([done]):
            return tf.nest.map_structure(tf.identity, (images, targets))


_ACCEPTED = (
    "MaskRCNN learns from a tf.data.Dataset, PyDataset or generator of batches (images, targets), "
    "from a DetectionData, or from x=images and y=targets as arrays"
)


def _check_class_names(model: Any, data: DetectionData) -> None:
    names = list(data.class_names)
    if len(names) != model.num_classes or model.given_class_names not in ((), tuple(names)):
        expected = list(model.given_class_names) or model.num_classes
        raise ValueError(
            f"the data must have the model's classes, in their order: {shown(expected)}. "
            f"Received: {len(names)} classes {shown(names)}"
        )


def _advice(x: Any) -> str:
    if isinstance(x, dict) and "annotations" in x:
        return "; keras_maskrcnn.load_coco(file, pictures) reads COCO annotations"
    if isinstance(x, dict):
        return "; images and targets are two parts, not one dict"
    if hasattr(x, "__array__") or type(x).__module__.startswith("PIL."):
        return "; pictures without targets are for predict"
    return ""
