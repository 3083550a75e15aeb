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
from keras_maskrcnn.data.passes import count_repeats, draw_sizes, share_of_batches
from keras_maskrcnn.data.plan import PassPlan
from keras_maskrcnn.data.resizing import resize_image
from keras_maskrcnn.data.transforms.base import Transform, added_objects, make_transforms
from keras_maskrcnn.images.tiling import Tiling


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
    tiling: Tiling | None,
    share: tuple[int, int] | None,
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
    part, parts = _checked_share(share, batch_size, seed, drop_remainder)
    seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
    passed = PassPlan(data, sampling, seed, shuffle=shuffle, tiling=tiling)
    count, size = passed.count, batch_size // parts
    passes = itertools.count(first_pass)

    def plan_pass() -> tuple[np.ndarray, ...]:
        epoch = next(passes)
        pictures = passed.pictures(epoch)
        sizes = draw_sizes(count, min_sizes, seed, epoch)
        order = passed.order(pictures, batch_size, epoch)
        if share is not None:
            order = share_of_batches(order, batch_size, part, parts)
        columns = (pictures, np.full(count, epoch), sizes, count_repeats(pictures))
        return tuple(column[order].astype(np.int64) for column in columns)

    def plan(_: tf.Tensor) -> tf.data.Dataset:
        columns = tf.numpy_function(plan_pass, [], [tf.int64] * 4)
        for column in columns:
            column.set_shape([count if share is None else count // batch_size * size])
        return tf.data.Dataset.from_tensor_slices(tuple(columns))

    missing = data.missing_outlines
    if masks and missing:
        raise ValueError(
            f"Expected an outline of each object: {missing}. masks=False makes batches without "
            "masks, for a model with heads=[]. Received: masks=True"
        )
    masks = not missing if masks is None else masks
    slots = _checked_max_objects(passed, max_objects, transforms)
    settings = (data, transforms, seed, slots, max_size, cache, masks, whole_masks)
    loader = PictureLoader(*settings, crops=passed.crops)

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
        .padded_batch(size, drop_remainder=drop_remainder)
    )
    length = count // batch_size if drop_remainder else -(-count // batch_size)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(length)).prefetch(2)
    dataset.missing_outlines = missing  # For the words of a model that would need them.
    dataset.is_tiled = tiling is not None  # Then sizes are not the model's, as in `predict`.
    return dataset


def _checked_share(
    share: tuple[int, int] | None, batch_size: int, seed: int | None, drop_remainder: bool
) -> tuple[int, int]:
    if share is None:
        return 0, 1
    part, parts = share
    if not 0 <= part < parts:
        raise ValueError(f"Expected share=(k, n) with k of 0..n-1. Received: share={share}")
    if batch_size % parts:
        raise ValueError(
            f"Expected a batch_size of {parts} equal shares. "
            f"Received: batch_size={batch_size}, share={share}"
        )
    if seed is None or not drop_remainder:
        raise ValueError(
            "Expected seed and drop_remainder=True beside share, so that all who share have the "
            f"same batches. Received: seed={seed}, drop_remainder={drop_remainder}"
        )
    return part, parts


def _checked_max_objects(
    plan: PassPlan, max_objects: int | None, transforms: Sequence[Transform]
) -> int:
    added = added_objects(transforms, plan.max_objects)
    needed = plan.max_objects + added
    if max_objects is None:
        return needed
    if max_objects < plan.max_objects:
        reason = "a crop may have as many"
        if plan.crops is None:
            over = [r for r in plan.data.records if len(r.objects) > max_objects]
            named = ", ".join(f"{r.image_id} ({len(r.objects)} objects)" for r in over[:3])
            reason = f"{len(over)} pictures have more, such as image ids {named}"
        raise ValueError(
            f"Expected max_objects to be at least {plan.max_objects}: {reason}. "
            f"Received: max_objects={max_objects}"
        )
    if max_objects < needed:
        raise ValueError(
            f"Expected max_objects to be at least {needed}: pictures have up to "
            f"{plan.max_objects}, and augment adds up to {added}. "
            f"Received: max_objects={max_objects}"
        )
    return max_objects
