"""From records to padded batches: decode, resize, mirror, draw, pad.

Legend: `B` pictures per batch, `N` objects, `Nc` crowd regions, `J` keypoints, `M` mask side.

One numpy function per picture decodes, mirrors and draws, so that an error can name the file;
resizing and padding are TensorFlow ops. Both run in parallel and in a fixed order.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_maskrcnn.data.augmentation import (
    draw_augmentation,
    draw_order,
    flip_boxes,
    flip_keypoints,
)
from keras_maskrcnn.data.masks import MASK_SIDE, draw_mask, draw_whole_mask
from keras_maskrcnn.data.picture_files import read_picture_file
from keras_maskrcnn.data.records import DetectionData, ImageRecord
from keras_maskrcnn.images.input_size import resize_shape
from keras_maskrcnn.tensorflow_errors import without_internals

_JPEG_START = b"\xff\xd8\xff"


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Decodes a JPEG, PNG, BMP or GIF (first frame) file as it is stored.

    Grey and transparent pictures become RGB (transparency is dropped); an EXIF orientation is not
    applied, as in the COCO tools.

    Args:
        path: path of the file.

    Returns:
        uint8 `[H, W, 3]`, RGB.

    Raises:
        ValueError: if the file is missing, no regular file, beyond the limits of
            `data.picture_files`, or cannot be decoded; the message names it.
    """
    content = read_picture_file(path)
    try:
        with tf.device("CPU"):
            if content.startswith(_JPEG_START):
                image = tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE")
            else:
                image = tf.io.decode_image(content, channels=3, expand_animations=False)
            return image.numpy()
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(
            f"Cannot decode the picture {os.fspath(path)} ({len(content)} bytes): "
            f"{without_internals(error.message)}"
        ) from None


def read_picture(record: ImageRecord) -> np.ndarray:
    """Decodes the picture of a record; see `read_image`.

    Raises:
        ValueError: if it cannot be read, or is not of the annotated size; the message names the
            image id and the file.
    """
    try:
        image = read_image(record.path)
    except ValueError as error:
        raise ValueError(f"Image id {record.image_id}: {error}") from error
    if image.shape[:2] != (record.height, record.width):
        raise ValueError(
            f"Image id {record.image_id}: expected {record.path} to have height and width "
            f"{(record.height, record.width)}, as annotated. Received: {image.shape[:2]}"
        )
    return image


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
    augment: bool,
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
    if len(min_sizes) > 1 and not augment:
        raise ValueError(
            f"Expected one min_size where augment=False. Received: min_size={min_size}"
        )
    if seed is not None and seed < 0:
        raise ValueError(f"Expected seed to be None or at least 0. Received: seed={seed}")
    if first_pass < 0:
        raise ValueError(f"Expected first_pass to be at least 0. Received: first_pass={first_pass}")
    seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
    count = len(data.records)
    ratios = np.array([record.width / record.height for record in data.records])
    passes = itertools.count(first_pass)

    def plan_pass() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        epoch = next(passes)
        flip, sizes = draw_augmentation(count, min_sizes, augment, seed, epoch)
        order = draw_order(ratios, batch_size, seed, epoch) if shuffle else np.arange(count)
        return order, flip[order], sizes[order]

    def plan(_: tf.Tensor) -> tf.data.Dataset:
        columns = tf.numpy_function(plan_pass, [], [tf.int64, tf.bool, tf.int32])
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
    slots = _checked_max_objects(data, max_objects)
    loader = _Loader(data, slots, max_size, cache, masks, whole_masks)

    def load(index: tf.Tensor, flip: tf.Tensor, shorter: tf.Tensor) -> tuple:
        values = tf.numpy_function(loader, [index, flip, shorter], loader.dtypes)
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


def _checked_max_objects(data: DetectionData, max_objects: int | None) -> int:
    if max_objects is None:
        return data.max_objects
    if max_objects < data.max_objects:
        over = [record for record in data.records if len(record.objects) > max_objects]
        named = ", ".join(f"{r.image_id} ({len(r.objects)} objects)" for r in over[:3])
        raise ValueError(
            f"Expected max_objects to be at least {data.max_objects}: {len(over)} pictures have "
            f"more, such as image ids {named}. Received: max_objects={max_objects}"
        )
    return max_objects


class _Loader:
    """Makes everything of one picture but its resized pixels; the fields are in `shapes`."""

    def __init__(
        self,
        data: DetectionData,
        max_objects: int,
        max_size: int,
        cache: bool,
        masks: bool,
        whole_masks: bool,
    ) -> None:
        self.data = data
        self.whole_masks = whole_masks
        self.max_objects = max_objects
        self.max_size = max_size
        self.cache: dict[int, tuple[np.ndarray, np.ndarray]] | None = {} if cache else None
        self.shapes: dict[str, list[int | None]] = {
            "images": [None, None, 3],
            "image_sizes": [2],
            "boxes": [max_objects, 4],
            "classes": [max_objects],
            "crowd_boxes": [data.max_crowds, 4],
            "image_ids": [],
            "original_sizes": [2],
        }
        self.dtypes = [*(tf.uint8, tf.int32, tf.float32, tf.int32, tf.float32, tf.int64, tf.int32)]
        self.has_masks = masks
        if masks:
            sides = [None, None] if whole_masks else [MASK_SIDE, MASK_SIDE]
            self.shapes["masks"] = [max_objects, *sides]
            self.dtypes.append(tf.uint8)
        if data.keypoint_names:
            self.shapes["keypoints"] = [max_objects, len(data.keypoint_names), 3]
            self.dtypes.append(tf.float32)
        for name in data.attribute_names:
            if name in self.shapes:
                raise ValueError(
                    f"Expected attributes with names other than {sorted(self.shapes)}. "
                    f"Received: attribute {name!r}"
                )
            self.shapes[name] = [max_objects]
            self.dtypes.append(tf.float32)

    def __call__(self, index: np.ndarray, flip: np.ndarray, min_size: np.ndarray) -> list[Any]:
        record = self.data.records[index]
        image, masks = self._picture_and_masks(int(index), record)
        objects = record.objects
        original = np.array([record.height, record.width], np.int32)
        size = np.array(
            resize_shape(record.height, record.width, int(min_size), self.max_size), np.int32
        )
        boxes = np.array([o.box for o in objects], np.float64).reshape(-1, 4)
        crowds = np.array([c.box for c in record.crowds], np.float64).reshape(-1, 4)
        names = self.data.keypoint_names
        points = np.zeros((len(objects), len(names), 3))
        for row, instance in enumerate(objects):
            if instance.keypoints is not None:
                points[row] = instance.keypoints
        if flip:
            image, masks = np.ascontiguousarray(image[:, ::-1]), masks[:, :, ::-1]
            boxes, crowds = flip_boxes(boxes, record.width), flip_boxes(crowds, record.width)
            points = flip_keypoints(points, record.width, self.data.keypoint_flip_pairs)
        if self.whole_masks:
            # The pixel that torch's nearest neighbour takes: of the cell's corner, not its centre.
            y, x = (np.arange(n) * m // n for n, m in zip(size, original, strict=True))
            masks = masks[:, y[:, None], x]
        scale_y, scale_x = size / original
        scale = np.array([scale_x, scale_y, scale_x, scale_y])
        fields = [
            image,
            size,
            _padded(boxes * scale, self.max_objects, np.float32),
            _padded(np.array([o.category for o in objects]), self.max_objects, np.int32, fill=-1),
            _padded(crowds * scale, self.data.max_crowds, np.float32),
            np.int64(record.image_id),
            original,
        ]
        if self.has_masks:
            fields.append(_padded(masks, self.max_objects, np.uint8))
        if names:
            fields.append(
                _padded(points * np.array([scale_x, scale_y, 1]), self.max_objects, np.float32)
            )
        for name in self.data.attribute_names:
            values = np.array([o.attributes.get(name, -1.0) for o in objects])
            fields.append(_padded(values, self.max_objects, np.float32, fill=-1))
        return fields

    def _picture_and_masks(self, index: int, record: ImageRecord) -> tuple[np.ndarray, np.ndarray]:
        if self.cache is not None and index in self.cache:
            return self.cache[index]
        image = read_picture(record)
        outlines = [
            (o.segmentation, o.box) for o in record.objects if self.has_masks and o.segmentation
        ]
        sides = image.shape[:2] if self.whole_masks else (MASK_SIDE, MASK_SIDE)
        masks = np.zeros((len(outlines), *sides), np.uint8)
        for row, (outline, box) in enumerate(outlines):
            if self.whole_masks:
                masks[row] = draw_whole_mask(outline, *sides)
            else:
                masks[row] = draw_mask(outline, box)
        if self.cache is not None:
            self.cache[index] = (image, masks)
        return image, masks


def _padded(values: np.ndarray, length: int, dtype: type, fill: int = 0) -> np.ndarray:
    """`values` as the first rows of an array of `length` rows."""
    result = np.full((length, *values.shape[1:]), fill, dtype)
    result[: len(values)] = values
    return result
