"""From pictures as clients send them to the network's input, in stock TensorFlow ops.

Gives what `MaskRCNN.predict` gives the network: same decoders, same sizes, same padding.

Legend: `B` pictures, `H W` size of the network's input.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_maskrcnn.data.resizing import resize_image
from keras_maskrcnn.export.headers import (
    JPEG_START,
    count_jpeg_pixels,
    count_pixels,
    is_deep_png,
    starts_with,
)
from keras_maskrcnn.export.orientation import read_orientation, upright
from keras_maskrcnn.export.refusals import refusal_parts
from keras_maskrcnn.images.input_size import InputSize
from keras_maskrcnn.images.pixels import PixelFormat

Tensor = Any


def to_levels(images: Tensor, pixels: PixelFormat) -> Tensor:
    """`PixelFormat.of_array` of uint8, uint16 or float32 pictures `[B, h, w, C]`."""
    if images.dtype == tf.uint8 and pixels.keeps_bytes:
        return images
    low, high = pixels.value_range or (0, 65535 if images.dtype == tf.uint16 else 255)
    levels = tf.cast(images, tf.float32)
    return levels if (low, high) == (0, 255) else (levels - low) * 255 / (high - low)


def letterbox_batch(images: Tensor, input_size: InputSize) -> dict[str, Tensor]:
    """Pictures of one size.

    Args:
        images: uint8 or float32 `[B, h, w, C]`, on the scale 0..255.
        input_size: the model's.

    Returns:
        `images` float32 `[B, H, W, C]`, padded with zeros at the bottom and right; `image_sizes`
        int32 `[B, 2]`, their part that is no padding; `original_sizes` int32 `[B, 2]`.
    """
    shape = tf.shape(images)
    check = tf.debugging.Assert(
        tf.reduce_all(shape[1:3] > 0),
        [
            "images must be [pictures, height, width, channels] with at least one pixel. Received:",
            shape,
        ],
    )
    with tf.control_dependencies([check]):
        original = tf.identity(shape[1:3])
    size = input_size.resized_graph(original)
    canvas = input_size.padded_graph(size)
    resized = _pad(resize_image(images, size), size, canvas, batched=True)
    return {
        "images": tf.ensure_shape(resized, [None, None, None, images.shape[-1]]),
        "image_sizes": tf.tile(size[None], [shape[0], 1]),
        "original_sizes": tf.tile(original[None], [shape[0], 1]),
    }


def decode_batch(contents: Tensor, input_size: InputSize, max_pixels: int) -> dict[str, Tensor]:
    """Picture files of unlike sizes, each resized by the model's rule, in one batch.

    Args:
        contents: string `[B]`, each a whole JPEG, PNG, BMP or GIF (first frame) file.
        input_size: the model's.
        max_pixels: of one picture. A larger one is refused before memory is spent on it.

    Returns:
        as `letterbox_batch`, of the pictures as EXIF says that they are to be looked at.

    Raises:
        tf.errors.InvalidArgumentError: when run, for a file that cannot be decoded or has too many
            pixels; the message holds a `refusals.Refusal`.
    """
    count = tf.shape(contents)[0]
    resized = tf.TensorArray(tf.float32, count, infer_shape=False, element_shape=[None, None, 3])
    sizes = tf.TensorArray(tf.int32, count, element_shape=[2])
    originals = tf.TensorArray(tf.int32, count, element_shape=[2])

    def read(i: Tensor, resized: Any, sizes: Any, originals: Any) -> tuple[Any, ...]:
        picture, deep, orientation = _decode(contents[i], i, max_pixels)

        def turned(pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            pixels = upright(pixels, orientation)
            original = tf.shape(pixels)[:2]
            size = input_size.resized_graph(original)
            if pixels.dtype == tf.uint16:
                pixels = to_levels(pixels, PixelFormat())
            return resize_image(pixels, size), size, original

        # Apart, so that bytes are turned as bytes.
        is_deep = tf.size(deep) > 0
        small, size, original = tf.cond(is_deep, lambda: turned(deep), lambda: turned(picture))
        resized = resized.write(i, tf.ensure_shape(small, [None, None, 3]))
        return i + 1, resized, sizes.write(i, size), originals.write(i, original)

    _, resized, sizes, originals = tf.while_loop(
        lambda i, *_: i < count, read, (0, resized, sizes, originals), parallel_iterations=2
    )
    all_sizes = tf.ensure_shape(sizes.stack(), [None, 2])
    canvas = input_size.padded_graph(tf.reduce_max(all_sizes, 0))

    def pad(i: Tensor) -> Tensor:
        picture = tf.ensure_shape(resized.read(i), [None, None, 3])
        return _pad(picture, all_sizes[i], canvas, batched=False)

    signature = tf.TensorSpec([None, None, 3], tf.float32)
    return {
        "images": tf.map_fn(pad, tf.range(count), fn_output_signature=signature),
        "image_sizes": all_sizes,
        "original_sizes": tf.ensure_shape(originals.stack(), [None, 2]),
    }


def _pad(pictures: Tensor, size: Tensor, canvas: Tensor, batched: bool) -> Tensor:
    bottom, right = tf.unstack(canvas - size)
    sides = [[0, bottom], [0, right], [0, 0]]
    return tf.pad(pictures, [[0, 0], *sides] if batched else sides)


def _decode(content: Tensor, position: Tensor, max_pixels: int) -> tuple[Tensor, Tensor, Tensor]:
    """One file, decoded as `data.reading.read_image` does.

    Returns:
        uint8 `[h, w, 3]`, or empty for a PNG file of 16 bits; that as uint16 `[h, w, 3]`, else
        empty; and EXIF's orientation, by which either is still to be turned.

    A decoder's own error does not tell which picture of the batch it was about. A data set of one
    element that drops what fails is the one way of stock ops to go on after an error. It is made
    anew for each picture, which takes the longer the more it does: hence only what can fail.
    """

    def jpeg(content: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pixels = count_jpeg_pixels(content)
        options = {"channels": 3, "dct_method": "INTEGER_ACCURATE"}
        picture = tf.cond(
            pixels <= max_pixels,
            lambda: tf.io.decode_jpeg(content, **options),
            lambda: nothing,
        )
        return picture, no_depth, pixels

    def deep_png(content: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return nothing, tf.io.decode_png(content, channels=3, dtype=tf.uint16), zero

    def other(content: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return tf.io.decode_image(content, channels=3, expand_animations=False), no_depth, zero

    def decode(content: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        picture, deep, pixels = tf.case(
            [
                (starts_with(content, JPEG_START), lambda: jpeg(content)),
                (is_deep_png(content), lambda: deep_png(content)),
            ],
            default=lambda: other(content),
        )
        shape = [None, None, 3]
        return tf.ensure_shape(picture, shape), tf.ensure_shape(deep, shape), pixels

    nothing, zero = tf.zeros([0, 0, 3], tf.uint8), tf.zeros([], tf.int64)
    no_depth = tf.zeros([0, 0, 3], tf.uint16)
    pixels, orientation = count_pixels(content), read_orientation(content)
    # No file of unknown size gets to the decoders, which know more formats.
    safe = starts_with(content, JPEG_START) | ((pixels > 0) & (pixels <= max_pixels))
    safe &= orientation > 0
    decoded = tf.data.Dataset.from_tensors(tf.where(safe, content, "")).map(decode).ignore_errors()
    picture, deep, jpeg_pixels = decoded.reduce(
        (nothing, no_depth, zero), lambda _, decoded: decoded
    )
    pixels = tf.maximum(pixels, jpeg_pixels)
    small = _expect(
        pixels <= max_pixels,
        position,
        f"Too many pixels in the picture: expected at most {max_pixels}. Received: ",
        pixels,
    )
    with tf.control_dependencies([small]):
        size = tf.size(picture) + tf.size(deep)
    whole = _expect(
        size > 0,
        position,
        "Cannot decode the picture: expected a whole JPEG, PNG, BMP or GIF file. Received: ",
        tf.strings.length(content),
        " bytes",
    )
    with tf.control_dependencies([whole]):
        return tf.identity(picture), tf.identity(deep), orientation


def _expect(condition: Tensor, position: Tensor, *words: Any) -> Tensor:
    """An op that fails with `Refusal` unless the condition holds."""
    parts = refusal_parts(position, *words)
    text = [part if isinstance(part, str) else tf.strings.as_string(part) for part in parts]
    return tf.debugging.Assert(condition, [tf.strings.join(text)])
