"""Builds the recorded models, and runs them in the open."""

from __future__ import annotations

import contextlib
import dataclasses
import pickle
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from golden_weights import golden_tensors
from torch_writer import write_torch_file

from keras_maskrcnn.data.resizing import resize_image
from keras_maskrcnn.images.input_size import resize_shape
from keras_maskrcnn.models.mask_rcnn import MaskRCNN
from keras_maskrcnn.ops import sampling
from keras_maskrcnn.weights import detectron2, load_detector_weights, torchvision
from keras_maskrcnn.weights.report import Slot
from parity.golden_files import arrays, info

SIZES: dict[str, Any] = {"min_size": 320, "max_size": 416, "weight_decay": 0.0}
# Recorded with batch norm in evaluation mode but trained scales, and nothing frozen.
TORCHVISION: dict[str, Any] = {
    **SIZES,
    "backbone": {"norm": "frozen_statistics", "norm_epsilon": 1e-5, "freeze_at": 0},
    "neck.norm_epsilon": 1e-5,
}


@dataclasses.dataclass(frozen=True)
class Case:
    """A recorded model: the preset that it stands for, and what was set otherwise."""

    preset: str
    changes: Mapping[str, Any]


CASES = {
    "tv_mask_r50_fpn": Case("maskrcnn_resnet50_fpn_coco", TORCHVISION),
    "tv_mask_r50_fpn_v2": Case(
        "maskrcnn_resnet50_fpn_v2_coco",
        {**TORCHVISION, **{f"{p}.norm": "frozen_statistics" for p in ("neck", "box", "mask")}},
    ),
    "tv_keypoint_r50_fpn": Case("keypointrcnn_resnet50_fpn_coco", TORCHVISION),
    "d2_mask_r50_fpn": Case("mask_rcnn_R_50_FPN", SIZES),
    "d2_mask_r50_c4": Case(
        "mask_rcnn_R_50_C4",
        {
            **SIZES,
            "rpn": {"proposals_train": 300, "proposals_test": 300},
            "box": {"samples": 64},
        },
    ),
    "d2_mask_x101_fpn": Case("mask_rcnn_X_101_32x8d_FPN", SIZES),
    "d2_keypoint_r50_fpn": Case("keypoint_rcnn_R_50_FPN", SIZES),
    "d2_class_agnostic": Case(
        "mask_rcnn_R_50_FPN",
        {**SIZES, "box.class_agnostic": True, "mask.output": "class_agnostic"},
    ),
    "d2_mask_keypoint_r50_fpn": Case(
        "keypoint_rcnn_R_50_FPN",
        {
            **SIZES,
            "heads": [
                {"name": "mask", "target_style": "binary"},
                {"name": "keypoint", "num_keypoints": 17, "scores": "probability"},
            ],
        },
    ),
    "d2_cascade_r50_fpn": Case("cascade_mask_rcnn_R_50_FPN", SIZES),
    "d2_mask_r50_fpn_gn": Case("mask_rcnn_R_50_FPN_gn", SIZES),
    "d2_mask_r50_fpn_lsj": Case("mask_rcnn_R_50_FPN_100ep_LSJ", SIZES),
}


def is_torchvision(name: str) -> bool:
    return name.startswith("tv_")


def build(name: str) -> MaskRCNN:
    """The model of a case, its regenerated weights read from a file as the library writes it."""
    case = CASES[name]
    model = MaskRCNN.from_preset(case.preset, load_weights=False, **case.changes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("model.pth" if is_torchvision(name) else "model.pkl")
        # The tensors go before the file is read: of the largest model they are half a gigabyte.
        _write(path, golden_tensors(info(name)))
        load_detector_weights(model, path)
    return model


def _write(path: Path, tensors: dict[str, np.ndarray]) -> None:
    if path.suffix == ".pth":
        write_torch_file(path, tensors)
        return
    with path.open("wb") as file:
        pickle.dump({"model": tensors}, file, protocol=4)


def batch(name: str) -> tuple[np.ndarray, np.ndarray]:
    """The two pictures as the network takes them, `[2, H, W, 3]`, and their sizes.

    torchvision enlarges the second one; detectron2 was given both as they are.
    """
    pictures = [arrays("images")[key] for key in ("image0", "image1")]
    sizes = [p.shape[:2] for p in pictures]
    if is_torchvision(name):
        sizes = [resize_shape(h, w, 320, 416) for h, w in sizes]
    images = np.zeros((2, 320, 416, 3), "float32")
    for image, picture, (h, w) in zip(images, pictures, sizes, strict=True):
        image[:h, :w] = np.asarray(resize_image(picture, (h, w)))
    return images, np.array(sizes, "int32")


@contextlib.contextmanager
def watch(paths: Collection[str]) -> Iterator[dict[str, tuple[Any, Any]]]:
    """Keeps the positional arguments and the result of layers while they are called."""
    seen: dict[str, tuple[Any, Any]] = {}
    original = keras.layers.Layer.__call__

    def call(layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
        result = original(layer, *args, **kwargs)
        path = layer.path or layer.name  # layers without variables may lack the former
        if path in paths:
            seen[path] = (args, result)
        return result

    keras.layers.Layer.__call__ = call
    try:
        yield seen
    finally:
        keras.layers.Layer.__call__ = original


@contextlib.contextmanager
def first_come_sampling() -> Iterator[None]:
    """Samplers take the first candidates in index order, as in the recordings."""
    original = sampling.random_priorities

    def falling(shape: Any, seed: Any) -> tf.Tensor:
        return tf.broadcast_to(tf.linspace(1.0, 0.0, shape[1])[None], shape)

    sampling.random_priorities = falling
    try:
        yield
    finally:
        sampling.random_priorities = original


def targets(name: str, sizes: np.ndarray) -> dict[str, np.ndarray]:
    """The recorded ground truth in pixels of the network's input."""
    recorded = arrays(name)
    first = 1 if is_torchvision(name) else 0  # torchvision counts the background as class 0
    rows: dict[str, list[np.ndarray]] = {"boxes": [], "classes": [], "masks": [], "keypoints": []}
    for i, size in enumerate(sizes):
        original = arrays("images")[f"image{i}"].shape[:2]
        scale = np.array([size[1] / original[1], size[0] / original[0]], "float32")
        rows["boxes"].append(recorded[f"train_boxes{i}"] * np.tile(scale, 2))
        rows["classes"].append(recorded[f"train_labels{i}"] - first)
        if f"train_masks{i}_bits" in recorded:
            bits = np.unpackbits(recorded[f"train_masks{i}_bits"], axis=-1)[..., : original[1]]
            # Nearest neighbour, as torchvision resizes masks.
            y, x = (np.arange(n) * m // n for n, m in zip(size, original, strict=True))
            mask = np.zeros((len(bits), 320, 416), "uint8")
            mask[:, : size[0], : size[1]] = 255 * bits[:, y[:, None], x[None]]
            rows["masks"].append(mask)
        if f"train_keypoints{i}" in recorded:
            points = recorded[f"train_keypoints{i}"].copy()
            # torchvision's are indices of pixels.
            points[..., :2] = (points[..., :2] + 0.5 * is_torchvision(name)) * scale
            rows["keypoints"].append(points)
    values = {key: np.stack(value) for key, value in rows.items() if value}
    return {
        **values,
        "classes": values["classes"].astype("int32"),
        "image_sizes": sizes,
        "original_sizes": np.int32([arrays("images")[f"image{i}"].shape[:2] for i in (0, 1)]),
        "crowd_boxes": np.zeros((2, 1, 4), "float32"),
    }


def library_slots(model: MaskRCNN, name: str, variables: Sequence[keras.Variable]) -> list[Slot]:
    """Where the library keeps variables of ours."""
    network = model.network
    box = network.box.settings
    if is_torchvision(name):
        return torchvision.detector_slots(
            variables, box_head_convs=box["convs"], box_pool_size=box["pool_size"]
        )
    return detectron2.detector_slots(
        variables,
        neck="c4" if network.neck.shares_roi_features else "fpn",
        preprocessing=network.preprocessing,
        box_pool_size=box["pool_size"],
    )


def torch_gradients(
    model: MaskRCNN, name: str, gradients: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Gradients by our variables' paths, as gradients of the library's tensors.

    What a reader does to a tensor it does to an array of the tensor's indices too: they say where
    each number of ours comes from. Rows that a reader drops (the background's) have no gradient.
    """
    shapes = {tensor: shape for tensor, shape, _ in info(name)["tensors"]}
    found = {}
    for slot in library_slots(model, name, model.trainable_variables):
        (tensor,) = slot.names
        shape = shapes[tensor]
        places = slot.convert(np.arange(np.prod(shape)).reshape(shape))
        flat = np.zeros(int(np.prod(shape)), "float32")
        flat[places.ravel()] = gradients[slot.variable.path].ravel()
        found[tensor] = flat
    return found
