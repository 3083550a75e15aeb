"""From records to padded batches: read, transform, draw, pad.

Legend: `B` pictures per batch, `N` objects, `Nc` crowd regions, `J` keypoints, `M` mask side.

One numpy function per picture reads, transforms and draws, so that an error can name the file;
resizing and padding are TensorFlow ops. Both run in parallel and in a fixed order.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.loading import PictureLoader
from keras_maskrcnn.data.passes import (
    count_repeats,
    draw_order,
    draw_pictures,
    draw_shard_order,
    draw_sizes,
    pass_length,
)
from keras_maskrcnn.data.sampling import SAMPLINGS
from keras_maskrcnn.data.shard_files import shard_numbers
from keras_maskrcnn.data.transforms.base import Transform, added_objects, make_transforms


def resize_image(image: np.ndarray | tf.Tensor, size: tuple[int, int] | tf.Tensor) -> tf.Tensor:
    """Resizes bilinearly, half-pixel centres, without antialiasing (as torchvision's detectors).

    Args:
        image: `[H, W, C]`.
        size: `(height, width)` of the result.

    Returns:
        float32 tensor `[height, width, C]`.
    """
    return tf.image.resize(image, size, method="bilinear", antialias=False)


def make_batches(
    data: DetectionData,
    batch_size: int,
    *,
    min_size: int | Sequence[int],
    max_size: int,
    shuffle: bool,
    augment: Any,
    sampling: Any,
    seed: int | None,
    first_pass: int,
    drop_remainder: bool,
    max_objects: int | None,
    size_divisor: int,
    cache: bool,
    masks: bool | None,
    whole_masks: bool,
) -> tf.data.Dataset:
    """Makes the data set that `DetectionData.batches` describes."""
    if not data.records:
        raise ValueError(f"Cannot make batches of an empty data set. Received: name={data.name!r}")
    min_sizes = [int(size) for size in np.ravel(min_size)]
    for name, value in (
        ("batch_size", batch_size),
        ("max_size", max_size),
        ("size_divisor", size_divisor),
        *(("min_size", value) for value in min_sizes or [0]),
    ):
        if value < 1:
            raise ValueError(f"Expected {name} to be at least 1. Received: {name}={value}")
    transforms = make_transforms(augment)
    if len(min_sizes) > 1 and not transforms:
        raise ValueError(
            f"Expected one min_size where augment=False. Received: min_size={min_size}"
        )
    if seed is not None and seed < 0:
        raise ValueError(f"Expected seed to be None or at least 0. Received: seed={seed}")
    if first_pass < 0:
        raise ValueError(f"Expected first_pass to be at least 0. Received: first_pass={first_pass}")
    seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
    weights = SAMPLINGS.make(sampling, default="all").weights(data)
    count = pass_length(weights)
    ratios = np.array([record.width / record.height for record in data.records])
    shards = shard_numbers(data.records)
    passes = itertools.count(first_pass)

    def plan_pass() -> tuple[np.ndarray, ...]:
        epoch = next(passes)
        pictures = draw_pictures(weights, seed, epoch)
        sizes = draw_sizes(count, min_sizes, seed, epoch)
        order = np.arange(count)
        if shuffle:
            choice = (ratios[pictures], batch_size, seed, epoch)
            order = (
                draw_order(*choice)
                if shards is None
                else draw_shard_order(shards[pictures], *choice)
            )
        columns = (pictures, np.full(count, epoch), sizes, count_repeats(pictures))
        return tuple(column[order].astype(np.int64) for column in columns)

    def plan(_: tf.Tensor) -> tf.data.Dataset:
        columns = tf.numpy_function(plan_pass, [], [tf.int64] * 4)
        for column in columns:
            column.set_shape([count])
        return tf.data.Dataset.from_tensor_slices(tuple(columns))

    missing = data.missing_outlines
    if masks and missing:
        raise ValueError(
            f"Expected an outline of each object: {missing}. masks=False makes batches without "
            "masks, for a model with heads=[]. Received: masks=True"
        )
    masks = not missing if masks is None else masks
    slots = _checked_max_objects(data, max_objects, transforms)
    loader = PictureLoader(data, transforms, seed, slots, max_size, cache, masks, whole_masks)

    def load(*numbers: tf.Tensor) -> tuple:
        values = tf.numpy_function(loader, numbers, loader.dtypes)
        fields = dict(zip(loader.shapes, values, strict=True))
        for name, shape in loader.shapes.items():
            fields[name].set_shape(shape)
        height, width = tf.unstack(fields["image_sizes"])
        image = resize_image(fields.pop("images"), fields["image_sizes"])
        rows, columns = [0, -height % size_divisor], [0, -width % size_divisor]
        image = tf.pad(image, [rows, columns, [0, 0]])
        if whole_masks:
            fields["masks"] = tf.pad(fields["masks"], [[0, 0], rows, columns])
        return image, fields

    dataset = (
        tf.data.Dataset.from_tensors(0)
        .flat_map(plan)
        .map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .padded_batch(batch_size, drop_remainder=drop_remainder)
    )
    length = count // batch_size if drop_remainder else -(-count // batch_size)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(length)).prefetch(2)
    dataset.missing_outlines = missing  # For the words of a model that would need them.
    return dataset


def _checked_max_objects(
    data: DetectionData, max_objects: int | None, transforms: Sequence[Transform]
) -> int:
    added = added_objects(transforms, data)
    needed = data.max_objects + added
    if max_objects is None:
        return needed
    if max_objects < data.max_objects:
        over = [record for record in data.records if len(record.objects) > max_objects]
        named = ", ".join(f"{r.image_id} ({len(r.objects)} objects)" for r in over[:3])
        raise ValueError(
            f"Expected max_objects to be at least {data.max_objects}: {len(over)} pictures have "
            f"more, such as image ids {named}. Received: max_objects={max_objects}"
        )
    if max_objects < needed:
        raise ValueError(
            f"Expected max_objects to be at least {needed}: pictures have up to "
            f"{data.max_objects}, and augment adds up to {added}. "
            f"Received: max_objects={max_objects}"
        )
    return max_objects
