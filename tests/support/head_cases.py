"""Heads small enough for quick tests, with RoIs and ground truth, for what every head owes."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_maskrcnn.heads import HEADS, HeadContext, MatchedRoIs

CONTEXT = {"num_classes": 3, "roi_strides": (4, 8), "seed": 1}
# Two pictures with an object of 32 x 32 and one of 40 x 24 pixels; RoIs just on them.
BOXES = np.array([[[8, 8, 40, 40], [20, 30, 60, 54]]] * 2, "float32")
ROIS = MatchedRoIs(
    boxes=tf.constant(BOXES.reshape(4, 4)[[0, 3, 2]]),
    images=tf.constant([0, 1, 1]),
    objects=tf.constant([0, 1, 0]),
    classes=tf.constant([2, 0, 1]),
)
NO_ROIS = MatchedRoIs(ROIS.boxes[:0], ROIS.images[:0], ROIS.objects[:0], ROIS.classes[:0])


def mask_truth():
    masks = np.zeros((2, 2, 112, 112), "uint8")
    masks[:, 0, :, :56] = 255  # left half
    masks[:, 1, 28:] = 255  # all but the upper quarter
    return {"masks": masks, "boxes": BOXES}


def keypoint_truth():
    points = np.full((2, 2, 3, 3), 2, "float32")
    points[:, 0, :, :2] = [[10.2, 12.1], [39.8, 8.3], [24.4, 24.6]]
    points[:, 1, :, :2] = [[20.4, 30.2], [59.4, 53.6], [41.2, 40.7]]
    points[0, 0, 1, 2] = 0  # not labelled
    return {"keypoints": points}


def keypoint_answer(targets):
    cells = np.array(targets["cells"])
    maps = np.zeros((*cells.shape, 8 * 8), "float32")
    np.put_along_axis(maps, cells[..., None], 40.0, axis=-1)
    return maps.reshape(*cells.shape, 8, 8).transpose(0, 2, 3, 1)


@dataclasses.dataclass(frozen=True)
class Case:
    """A head small enough for quick tests, and what is known of it.

    Args:
        part: its name in the registry.
        settings: of the head, with pooled grids of side 2 to 4.
        truth: what it learns from.
        answer: from targets to the predictions that say them.
        ignorance: its loss where all predictions are `silence`.
        silence: what says nothing.
    """

    part: str
    settings: dict
    truth: Callable
    answer: Callable
    ignorance: float
    silence: float = 0.0


def log_probabilities(targets):
    """Of background and the own class, where a softmax over all classes is sure."""
    inside = np.array(targets)[..., None]
    return np.where(np.concatenate([1 - inside, inside], axis=-1) > 0, 0.0, -80.0)


MLP = {"fcs": 1, "dim": 8, "pool_size": 4, "side": 8, "target_style": "binary"}
CASES = {
    "mask": Case(
        "mask",
        {"convs": 1, "dim": 8, "pool_size": 4, "target_style": "binary"},
        mask_truth,
        lambda targets: 80.0 * np.array(targets) - 40.0,
        np.log(2),
    ),
    "mask, bilinear, class-agnostic": Case(
        "mask",
        {
            **{"convs": 1, "dim": 8, "pool_size": 4, "target_style": "binary"},
            **{"upsampling": "bilinear", "output": "class_agnostic"},
        },
        mask_truth,
        lambda targets: 80.0 * np.array(targets) - 40.0,
        np.log(2),
    ),
    "mask, softmax": Case(
        "mask",
        {"convs": 1, "dim": 8, "pool_size": 4, "target_style": "binary", "output": "softmax"},
        mask_truth,
        log_probabilities,
        np.log(4),  # three classes and the background
        -np.log(4),
    ),
    "mask_mlp": Case(
        "mask_mlp",
        MLP,
        mask_truth,
        lambda targets: 80.0 * np.array(targets) - 40.0,
        np.log(2),
    ),
    "mask_mlp, softmax": Case(
        "mask_mlp",
        {**MLP, "output": "softmax"},
        mask_truth,
        log_probabilities,
        np.log(4),
        -np.log(4),
    ),
    "mask_mlp, class-agnostic": Case(
        "mask_mlp",
        {**MLP, "output": "class_agnostic"},
        mask_truth,
        lambda targets: 80.0 * np.array(targets) - 40.0,
        np.log(2),
    ),
    "keypoint": Case(
        "keypoint",
        {"num_keypoints": 3, "convs": 1, "dim": 8, "pool_size": 2},
        keypoint_truth,
        keypoint_answer,
        np.log(8 * 8),
    ),
}
OWN = [n for n in HEADS.names if HEADS.find(n).__module__.startswith("keras_maskrcnn")]


def make(name, dtype=None, **settings):
    case = CASES[name]
    head = HEADS.make({"name": case.part, **case.settings, **settings}, default="mask")
    head.build(HeadContext(**CONTEXT, dtype=dtype))
    return head


def features(head, count=3, channels=5):
    side = head.pool_size
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, side, side, channels)).astype("float32")


def said(head, count=3):
    return head.forward(tf.constant(features(head, 3)[:count]), ROIS.classes[:count])


def targets(head, rois=ROIS, truth=None):
    if truth is None:
        truth = next(case.truth() for case in CASES.values() if case.part == _name_of(head))
    return head.targets(rois, truth, layout(head, truth))


def _name_of(head):
    return next(name for name in OWN if HEADS.find(name) is type(head))


def layout(head, truth):
    images = tf.zeros((2, 64, 96, 3))
    return head.layout({"images": images, **{k: tf.constant(v) for k, v in truth.items()}})


def flat(values):
    return [ops.convert_to_numpy(x) for x in keras.tree.flatten(values)]


def dtypes(values):
    return {keras.backend.standardize_dtype(x.dtype) for x in keras.tree.flatten(values)}
