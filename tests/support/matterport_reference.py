"""Matterport's Mask R-CNN once more, in its own arithmetic: Keras 2's layers, boxes y1 x1 y2 x2.

Boxes are normalised: 0 is the centre of the picture's first pixel, 1 that of the last one. Written
from its conventions, for comparison only. One picture at a time.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

STD = np.array([0.1, 0.1, 0.2, 0.2], "float32")


class MatterportReference:
    """The stages, from the file's tensors."""

    def __init__(self, tensors: dict[str, np.ndarray], blocks: tuple[int, ...]) -> None:
        self.tensors = tensors
        self.blocks = blocks

    def conv(self, x, layer, stride=1, padding="VALID"):
        y = tf.nn.conv2d(x, self.tensors[f"{layer}/kernel"], stride, padding)
        return y + self.tensors[f"{layer}/bias"]

    def norm(self, x, layer):
        gamma, beta, mean, variance = (
            self.tensors[f"{layer}/{name}"]
            for name in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return (x - mean) / np.sqrt(variance + np.float32(1e-3)) * gamma + beta

    def features(self, pixels):
        """RGB pixels, padded with black: C2..C5 and P2..P6."""
        x = (pixels - np.array([123.7, 116.8, 103.9], "float32"))[None]
        x = self.conv(tf.pad(x, [[0, 0], [3, 3], [3, 3], [0, 0]]), "conv1", 2)
        x = tf.nn.max_pool2d(tf.nn.relu(self.norm(x, "bn_conv1")), 3, 2, "SAME")
        maps = {}
        for stage, blocks in zip((2, 3, 4, 5), self.blocks, strict=True):
            for block in range(blocks):
                name = f"{stage}{'abcdefghijklmnopqrstuvw'[block]}_branch"
                stride = 2 if block == 0 and stage > 2 else 1
                y = self.conv(x, f"res{name}2a", stride)
                y = tf.nn.relu(self.norm(y, f"bn{name}2a"))
                y = self.conv(y, f"res{name}2b", padding="SAME")
                y = tf.nn.relu(self.norm(y, f"bn{name}2b"))
                y = self.norm(self.conv(y, f"res{name}2c"), f"bn{name}2c")
                if block == 0:
                    x = self.norm(self.conv(x, f"res{name}1", stride), f"bn{name}1")
                x = tf.nn.relu(x + y)
            maps[f"C{stage}"] = x
        top = None
        for level in (5, 4, 3, 2):
            lateral = self.conv(maps[f"C{level}"], f"fpn_c{level}p{level}")
            top = lateral if top is None else lateral + tf.repeat(tf.repeat(top, 2, 1), 2, 2)
            maps[f"P{level}"] = self.conv(top, f"fpn_p{level}", padding="SAME")
        maps["P6"] = maps["P5"][:, ::2, ::2]
        return {name: value.numpy() for name, value in maps.items()}

    def rpn(self, maps):
        """Logits `[A, 2]`, background first, and deltas `[A, 4]` of all levels."""
        logits, deltas = [], []
        for level in (2, 3, 4, 5, 6):
            x = tf.nn.relu(self.conv(maps[f"P{level}"], "rpn_conv_shared", padding="SAME"))
            logits.append(tf.reshape(self.conv(x, "rpn_class_raw"), (-1, 2)))
            deltas.append(tf.reshape(self.conv(x, "rpn_bbox_pred"), (-1, 4)))
        return np.concatenate(logits), np.concatenate(deltas)

    @staticmethod
    def pool(maps, boxes, picture, side):
        """`[R, side, side, C]`."""
        # A reading that rounding puts beyond the last cell would be 0 in TensorFlow.
        boxes = np.minimum(boxes, np.float32(1 - 3e-7))
        pooled = np.zeros((len(boxes), side, side, maps["P2"].shape[-1]), "float32")
        levels = np.array([roi_level(box, picture) for box in boxes])
        for level in (2, 3, 4, 5):
            rows = np.flatnonzero(levels == level)
            if len(rows):
                pooled[rows] = tf.image.crop_and_resize(
                    maps[f"P{level}"], boxes[rows], np.zeros(len(rows), int), (side, side)
                )
        return pooled

    def classify(self, pooled):
        """Probabilities `[R, 81]`, background first, and deltas `[R, 81, 4]`."""
        x = self.norm(self.conv(pooled, "mrcnn_class_conv1"), "mrcnn_class_bn1")
        x = self.norm(self.conv(tf.nn.relu(x), "mrcnn_class_conv2"), "mrcnn_class_bn2")
        x = tf.nn.relu(x)[:, 0, 0]
        logits, deltas = (
            x @ self.tensors[f"{name}/kernel"] + self.tensors[f"{name}/bias"]
            for name in ("mrcnn_class_logits", "mrcnn_bbox_fc")
        )
        return tf.nn.softmax(logits).numpy(), tf.reshape(deltas, (len(x), -1, 4)).numpy()

    def masks(self, pooled):
        """Probabilities `[R, 28, 28, 81]`."""
        x = pooled
        for n in (1, 2, 3, 4):
            x = self.conv(x, f"mrcnn_mask_conv{n}", padding="SAME")
            x = tf.nn.relu(self.norm(x, f"mrcnn_mask_bn{n}"))
        # Stride 2 and a 2x2 kernel: each pixel becomes a patch of its own.
        kernel = self.tensors["mrcnn_mask_deconv/kernel"]
        x = tf.einsum("rhwi,aboi->rhawbo", x, kernel)
        x = tf.reshape(x, (x.shape[0], 28, 28, -1)) + self.tensors["mrcnn_mask_deconv/bias"]
        return tf.sigmoid(self.conv(tf.nn.relu(x), "mrcnn_mask")).numpy()


def roi_level(box, picture):
    height, width = picture
    area = (box[2] - box[0]) * (box[3] - box[1])
    level = math.log2(max(math.sqrt(area), 1e-9) / (224.0 / math.sqrt(height * width)))
    return min(5, max(2, 4 + round(level)))


def normalise(boxes, picture):
    """Pixels y1 x1 y2 x2, ends exclusive, to normalised coordinates."""
    height, width = picture
    scale = np.array([height - 1, width - 1, height - 1, width - 1])
    return ((boxes - np.array([0, 0, 1, 1])) / scale).astype("float32")


def anchors(picture):
    """Normalised `[A, 4]`: by level, row, column, and ratio width / height."""
    found = []
    for scale, stride in zip((32, 64, 128, 256, 512), (4, 8, 16, 32, 64), strict=True):
        for y in range(math.ceil(picture[0] / stride)):
            for x in range(math.ceil(picture[1] / stride)):
                for ratio in (0.5, 1.0, 2.0):
                    h, w = scale / math.sqrt(ratio), scale * math.sqrt(ratio)
                    cy, cx = y * stride, x * stride
                    found.append([cy - h / 2, cx - w / 2, cy + h / 2, cx + w / 2])
    return normalise(np.array(found), picture)


def apply_deltas(boxes, deltas):
    """dy, dx, log dh, log dw, already times their deviations."""
    size = boxes[:, 2:] - boxes[:, :2]
    centre = boxes[:, :2] + 0.5 * size + deltas[:, :2] * size
    size = size * np.exp(deltas[:, 2:])
    first = centre - 0.5 * size
    return np.concatenate([first, first + size], axis=1)


def clip(boxes, window):
    first, last = np.tile(window[:2], 2), np.tile(window[2:], 2)
    return np.minimum(np.maximum(boxes, first), last)


def propose(scores, deltas, boxes, limit=6000, count=1000):
    order = np.argsort(-scores, kind="stable")[:limit]
    boxes = clip(apply_deltas(boxes[order], deltas[order] * STD), np.array([0, 0, 1, 1]))
    kept = tf.image.non_max_suppression(boxes, scores[order], count, 0.7).numpy()
    return boxes[kept].astype("float32")


def detect(rois, probabilities, deltas, window, confidence=0.7, count=100):
    """Boxes, classes (background 0) and scores, best first; `window` is the picture's own part.

    Without empty boxes, those of objects in the padding: Matterport drops them last of all.
    """
    best = probabilities.argmax(axis=1)
    rows = np.arange(len(rois))
    scores = probabilities[rows, best]
    boxes = clip(apply_deltas(rois, deltas[rows, best] * STD), window).astype("float32")
    real = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    keep = []
    for class_id in np.unique(best):
        own = np.flatnonzero((best == class_id) & (scores >= confidence) & real & (class_id > 0))
        if len(own):
            kept = tf.image.non_max_suppression(boxes[own], scores[own], count, 0.3)
            keep.extend(own[kept.numpy()])
    keep = np.array(sorted(keep, key=lambda row: -scores[row])[:count], int)
    return boxes[keep], best[keep], scores[keep]
