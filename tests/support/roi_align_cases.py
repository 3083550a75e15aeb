"""Inputs and calls that the RoIAlign tests share."""

import numpy as np
import tensorflow as tf

from keras_maskrcnn.ops.roi_align import roi_align

STRIDES = (4, 8, 16, 32)
SCALES = [1 / stride for stride in STRIDES]


def channels_last(array):
    return np.ascontiguousarray(np.moveaxis(array, 1, -1))


def pool(features, boxes, backend, *, images=None, levels=None, scales=(1.0,), **options):
    zeros = np.zeros(len(boxes), np.int32)
    return roi_align(
        features,
        np.asarray(boxes, np.float32),
        zeros if images is None else images,
        zeros if levels is None else levels,
        **{"output_size": 7, "scales": scales, "backend": backend, **options},
    )


def pool_with_gradient(features, boxes, upstream, backend, **options):
    features = [tf.convert_to_tensor(feature) for feature in features]
    with tf.GradientTape() as tape:
        tape.watch(features)
        pooled = pool(features, boxes, backend, **options)
    return pooled, tape.gradient(pooled, features, tf.cast(upstream, pooled.dtype))


def random_pyramid(images=2, channels=5, dtype=tf.float32, size=128):
    random = np.random.default_rng(0)
    maps = [random.standard_normal((images, size // s, size // s, channels)) for s in STRIDES]
    return [tf.cast(array, dtype) for array in maps]


def random_rois(count=40, images=2, size=128):
    random = np.random.default_rng(1)
    corners = random.uniform(-10, size - 10, (count, 2))
    boxes = np.concatenate([corners, corners + random.uniform(0, size, (count, 2))], 1)
    where = {"images": random.integers(0, images, count), "levels": random.integers(0, 4, count)}
    return boxes.astype(np.float32), {key: value.astype(np.int32) for key, value in where.items()}
