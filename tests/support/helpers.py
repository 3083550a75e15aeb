"""A model small enough for quick tests, and pictures to train it on."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

import keras_maskrcnn
from keras_maskrcnn import MaskRCNN
from keras_maskrcnn.backbones.base import BACKBONES
from keras_maskrcnn.backbones.resnet import SPECS, ResNet, ResNetSpec
from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.images.input_size import InputSize
from keras_maskrcnn.models.settings import merge_arguments
from keras_maskrcnn.outlines import Polygons

# ResNet-18 with half its blocks, known to these tests alone: a step takes a tenth less to trace. A
# process without this file opens no model that has it.
SMALLEST = "resnet10"
SPECS[SMALLEST] = ResNetSpec((1, 1, 1, 1), bottleneck=False)
BACKBONES.register(SMALLEST)(ResNet)

# The smallest Mask R-CNN that still has all its parts.
MASK: dict[str, Any] = {"name": "mask", "convs": 2, "dim": 16}
TINY: dict[str, Any] = {
    "num_classes": 2,
    "backbone": {"name": SMALLEST, "norm": "batch", "freeze_at": 0},
    "neck": {"channels": 32},
    "rpn": {
        "anchor_sizes": ((8,), (16,), (32,), (48,), (64,)),
        "samples": 32,
        "pre_nms_train": 50,
        "pre_nms_test": 50,
        "proposals_train": 50,
        "proposals_test": 20,
    },
    "box": {"samples": 16, "dim": 64, "max_detections": 10},
    "heads": (MASK,),
    "min_size": 64,
    "max_size": 96,
}
TINY_SIZE = InputSize(64, 96, 32)
LOSSES = (
    "rpn_class_loss",
    "rpn_box_loss",
    "class_loss",
    "box_loss",
    "mask_loss",
    "regularization_loss",
)


def keypoint_head(count: int, **settings: Any) -> dict[str, Any]:
    return {"name": "keypoint", "num_keypoints": count, **settings}


def tiny_model(weights_seed: int = 0, **changes: Any) -> MaskRCNN:
    """The same weights for the same seed; `changes` as in `merge_arguments`."""
    keras.utils.set_random_seed(weights_seed)
    return MaskRCNN(**merge_arguments(TINY, changes))


def four_maps() -> keras.Model:
    """A backbone of few weights, which XLA compiles in less time than a ResNet."""
    x = images = keras.Input((None, None, 3))
    maps = []
    for side in (4, 2, 2, 2):
        x = keras.layers.Conv2D(8, side, strides=side, activation="relu")(x)
        maps.append(x)
    return keras.Model(images, maps)


def training_outputs(model: MaskRCNN, images: Any, targets: dict[str, Any]) -> dict[str, Any]:
    """What the losses of a step compare, part by part."""
    return model({"images": images, **targets}, training=True)


def get_state(model: keras.Model) -> list[np.ndarray]:
    """All that training changes: weights, the samplers' states, the optimizer's variables."""
    model.optimizer.build(model.trainable_variables)
    return [v.numpy() for v in [*model.variables, *model.optimizer.variables]]


def set_state(model: keras.Model, state: list[np.ndarray]) -> None:
    """Back to what `get_state` gave."""
    variables = [*model.variables, *model.optimizer.variables]
    for variable, value in zip(variables, state, strict=True):
        variable.assign(value)


def iou(a: Any, b: Any) -> float:
    """Intersection over union of two boxes."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    overlap = np.prod(sides)
    return float(overlap / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - overlap))


def batch(
    size: int = 2,
    height: int = 64,
    width: int = 96,
    *,
    objects: bool = True,
    keypoints: int = 0,
    seed: int = 0,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Noise pictures with two objects each, three slots for objects and a crowd region."""
    rng = np.random.default_rng(seed)
    images = rng.uniform(0, 255, (size, height, width, 3)).astype("float32")
    boxes = np.array([[4, 4, 40, 40], [30, 10, 60, 60], [0, 0, 0, 0]], "float32")
    classes = np.array([0, 1, -1] if objects else [-1, -1, -1], "int32")
    masks = np.zeros((3, 112, 112), "uint8")
    masks[0] = 255
    masks[1, :, :56] = 255  # The left half of its box.
    crowd = np.array([[50, 0, 64, 20]], "float32")
    targets = {
        "image_sizes": np.array([height, width], "int32"),
        "boxes": boxes * objects,
        "classes": classes,
        "masks": masks * objects,
        "crowd_boxes": crowd,
        "image_ids": np.array(0, "int64"),
        "original_sizes": np.array([height, width], "int32"),
    }
    if keypoints:
        points = np.full((3, keypoints, 3), 2, "float32")
        points[..., :2] = 30 + np.arange(keypoints)[:, None]
        targets["keypoints"] = points * objects
    return images, {name: np.stack([value] * size) for name, value in targets.items()}


def make_data(folder: Path, sizes: list[tuple[int, int]], file_type: str = "png") -> DetectionData:
    """Pictures on disk: dim noise with a bright square (class 0) and a dark bar (class 1)."""
    rng = np.random.default_rng(0)
    records = []
    for number, (height, width) in enumerate(sizes):
        pixels = rng.integers(100, 150, (height, width, 3), dtype=np.uint8)
        instances = []
        for category, (w, h, value) in enumerate([(24, 24, 250), (30, 12, 5)]):
            x, y = (int(rng.integers(0, limit)) for limit in (width - w, height - h))
            pixels[y : y + h, x : x + w] = value
            outline = Polygons([[x, y, x + w, y, x + w, y + h, x, y + h]])
            box = (float(x), float(y), float(x + w), float(y + h))
            instances.append(Instance(category, box, outline, False, w * h, category + 1))
        path = folder / f"{number}.{file_type}"
        Image.fromarray(pixels).save(path)
        records.append(ImageRecord(100 + number, str(path), height, width, tuple(instances)))
    return DetectionData(records, ["square", "bar"], [1, 2])


def to_dataset(batches: list[tuple[np.ndarray, dict[str, np.ndarray]]]) -> tf.data.Dataset:
    """A data set of these batches whose sizes are all unknown to the graph."""

    def spec(array: np.ndarray, *last: int) -> tf.TensorSpec:
        leading = (None,) * (array.ndim - len(last))
        return tf.TensorSpec((*leading, *last), array.dtype)

    images, targets = batches[0]
    last = {"image_sizes": (2,), "original_sizes": (2,), "boxes": (4,), "crowd_boxes": (4,)}
    last |= {
        "masks": targets.get("masks", images).shape[2:],
        "keypoints": targets.get("keypoints", images).shape[2:],
    }
    signature = (spec(images, 3), {k: spec(v, *last.get(k, ())) for k, v in targets.items()})
    dataset = tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=signature)
    return dataset.apply(tf.data.experimental.assert_cardinality(len(batches)))


def run_python(script: str, *arguments: Any, wait: bool = True) -> Any:
    """Runs a script in a fresh process that can import this module, and returns what it wrote.

    Without `wait`, returns the running process.
    """
    support = Path(__file__).resolve().parent
    folders = [str(folder) for folder in (support, *support.parents[:2])]
    prefix = f"import sys; sys.path[:0] = {folders!r}\n"
    process = subprocess.Popen(
        [sys.executable, "-c", prefix + script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if not wait:
        return process
    output = process.communicate()[0]
    assert process.returncode == 0, output
    return output


def import_all_modules() -> None:
    """Imports the whole package, of modules for optional packages those that are installed."""
    for module in pkgutil.walk_packages(keras_maskrcnn.__path__, "keras_maskrcnn."):
        try:
            importlib.import_module(module.name)
        except ImportError as error:
            assert not str(error.name).startswith("keras_maskrcnn")
