"""From heat maps to keypoints in the picture.

Legend: `P` RoIs, `J` keypoints, `M` side of the heat map.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from keras import ops

Tensor = Any

_CUBIC = -0.75  # coefficient of PyTorch's bicubic interpolation, which both references use


def _bicubic_matrix(size: int, length: Tensor) -> Tensor:
    """Weights `[length, size]` that resize an axis of `size` cells, half-pixel centres."""
    index = ops.arange(length, dtype="float32")
    source = (index + 0.5) * (size / ops.cast(length, "float32")) - 0.5
    base = ops.floor(source)
    t = source - base
    matrix = 0.0
    for tap in (-1, 0, 1, 2):
        d = ops.abs(t - tap)
        near = ((_CUBIC + 2) * d - (_CUBIC + 3)) * d * d + 1
        far = ((_CUBIC * d - 5 * _CUBIC) * d + 8 * _CUBIC) * d - 4 * _CUBIC
        weight = ops.where(d <= 1, near, far)
        cell = ops.cast(ops.clip(base + tap, 0, size - 1), "int32")
        matrix = matrix + weight[:, None] * ops.one_hot(cell, size, dtype="float32")
    return matrix


def decode_keypoints(maps: Tensor, rois: Tensor) -> Tensor:
    """The peak of each map, found at the RoI's own resolution (Mask R-CNN section 5).

    Each map is enlarged to the RoI's size in whole pixels by bicubic interpolation, and the centre
    of its highest pixel taken, as torchvision and detectron2 do.

    Args:
        maps: float32 `[P, M, M, J]` logits.
        rois: float32 `[P, 4]`.

    Returns:
        float32 `[P, J, 4]`: x, y, logit at the peak (torchvision's score), and the peak's softmax
        probability (detectron2's score).
    """
    size, num_keypoints = maps.shape[1], maps.shape[3]

    def one(args: tuple[Tensor, Tensor]) -> Tensor:
        heat, roi = args
        extent = ops.maximum(roi[2:] - roi[:2], 1.0)
        whole = ops.ceil(extent)
        width, height = ops.cast(whole[0], "int32"), ops.cast(whole[1], "int32")
        columns, rows = _bicubic_matrix(size, width), _bicubic_matrix(size, height)
        heat = ops.transpose(heat, (2, 0, 1))  # [J, M, M]
        full = ops.matmul(ops.matmul(rows, heat), ops.transpose(columns))  # [J, height, width]
        flat = ops.reshape(full, (num_keypoints, -1))
        # Not ops.argmax, which looks at the bits of -0.0: ONNX has no op for that.
        peak = tf.argmax(flat, axis=1, output_type=tf.int32)
        logit = ops.max(flat, axis=1)
        x, y = peak % width, peak // width
        scale = extent / whole
        place = ops.stack([ops.cast(x, "float32"), ops.cast(y, "float32")], axis=1) + 0.5
        place = place * scale + roi[:2]
        probability = 1.0 / ops.sum(ops.exp(heat - logit[:, None, None]), axis=(1, 2))
        return ops.concatenate([place, logit[:, None], probability[:, None]], axis=1)

    # ops.map looks at the first element to learn the shapes, and there may be none.
    signature = tf.TensorSpec((num_keypoints, 4), tf.float32)
    return tf.map_fn(one, (maps, rois), fn_output_signature=signature)
