"""From the network's output to results in each picture's own pixels, in stock TensorFlow ops.

Legend: `B` pictures, `D` detections, `M` mask side, `J` keypoints.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_maskrcnn.ops.export_rle import paste_rles

Tensor = Any


def to_original(
    found: dict[str, Tensor],
    image_sizes: Tensor,
    original_sizes: Tensor,
    keypoint_shift: float = 0.0,
) -> dict[str, Tensor]:
    """What `Detections.from_padded` computes, for a whole batch and padded.

    Boxes are scaled axis by axis in float64, clipped to the picture, and left out where no area
    remains.

    Args:
        found: the model's outputs.
        image_sizes: int32 `[B, 2]` `(h, w)` of the pictures in the network's input.
        original_sizes: int32 `[B, 2]` `(h, w)` of the pictures as sent, files turned upright.
        keypoint_shift: of the model.

    Returns:
        the outputs, `boxes` and `keypoints` in pixels of the pictures as sent, and `image_sizes`:
        the sizes of those. Padding stays last: class -1, all else 0.
    """
    originals = tf.cast(original_sizes, tf.float64)
    scale = originals / tf.cast(image_sizes, tf.float64)  # [B, 2]: y, x
    scale = scale[:, None, ::-1]
    limits = tf.tile(originals[:, None, ::-1], [1, 1, 2])
    boxes = tf.cast(found["boxes"], tf.float64) * tf.tile(scale, [1, 1, 2])
    boxes = tf.cast(tf.minimum(tf.maximum(boxes, tf.zeros([], tf.float64)), limits), tf.float32)
    results = {name: value for name, value in found.items() if name != "counts"}
    results["boxes"] = boxes
    if "keypoints" in found:
        places, scores = found["keypoints"][..., :2], found["keypoints"][..., 2:]
        places = tf.cast(places, tf.float64) * scale[:, :, None] + keypoint_shift
        places = tf.cast(places, tf.float32)
        results["keypoints"] = tf.concat([places, scores], -1)

    rows = tf.range(tf.shape(boxes)[1])
    kept = (rows < found["counts"][:, None]) & tf.reduce_all(boxes[..., 2:] > boxes[..., :2], -1)
    counts = tf.reduce_sum(tf.cast(kept, tf.int32), 1)
    order = tf.argsort(tf.cast(kept, tf.int32), 1, direction="DESCENDING", stable=True)
    valid = rows < counts[:, None]
    for name, value in results.items():
        value = tf.gather(value, order, batch_dims=1)
        mask = tf.reshape(valid, tf.concat([tf.shape(valid), [1] * (value.shape.rank - 2)], 0))
        blank = -1 if name == "classes" else 0
        results[name] = tf.where(mask, value, tf.cast(blank, value.dtype))
    return {**results, "counts": counts, "image_sizes": original_sizes}


def full_size_rles(results: dict[str, Tensor]) -> Tensor:
    """The masks at full size as COCO's compressed run lengths.

    Args:
        results: of `to_original`.

    Returns:
        string `[B, D]`, empty where padded.
    """
    masks, boxes = results["masks"], results["boxes"]
    batch, slots = tf.unstack(tf.shape(boxes)[:2])
    sizes = tf.repeat(results["image_sizes"], slots, axis=0)
    valid = tf.range(slots) < results["counts"][:, None]
    strings = paste_rles(
        tf.reshape(masks, [-1, *masks.shape[2:]]),
        tf.reshape(boxes, [-1, 4]),
        sizes,
        tf.reshape(valid, [-1]),
    )
    return tf.reshape(strings, [batch, slots])
