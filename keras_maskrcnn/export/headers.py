"""How many pixels a picture file will decode to, told by its headers, in stock TensorFlow ops.

A file of a few kilobytes can hold a picture of gigabytes. These functions read what the decoders
will believe, and nothing is decoded.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

Tensor = Any

JPEG_START = b"\xff\xd8\xff"
PNG_START = b"\x89PNG\r\n\x1a\n"
_GIF_START = b"GIF8"
_BMP_START = b"BM"

# Blocks of a GIF file hold up to 255 bytes. More of them than this are 30 MB as encoders write
# them; of blocks of one byte, walking on would keep a server busy for minutes.
_GIF_BLOCKS = 1 << 17
# No header reads farther than this beyond the end of a file.
_SPARE = 32


def starts_with(content: Tensor, start: bytes) -> Tensor:
    """bool `[]`: whether a file begins with these bytes."""
    return tf.equal(tf.strings.substr(content, 0, len(start)), start)


def is_deep_png(content: Tensor) -> Tensor:
    """bool `[]`: whether a file is a PNG of 16 bits, which its header tells after both sides."""
    place = tf.minimum(24, tf.strings.length(content))
    return starts_with(content, PNG_START) & tf.equal(tf.strings.substr(content, place, 1), b"\x10")


def count_pixels(content: Tensor) -> Tensor:
    """Pixels that decoding a PNG, BMP or GIF file will need memory for.

    Args:
        content: string `[]`, a whole file.

    Returns:
        int64 `[]`; of a GIF, the largest width times the largest height times the number of frames,
        since all are decoded to get the first. 0 for a file of another kind. Where a file breaks
        off, zeros are read: it is for the decoder to refuse it.
    """
    return tf.case(
        [
            (starts_with(content, PNG_START), lambda: _png_pixels(content)),
            (starts_with(content, _BMP_START), lambda: _bmp_pixels(content)),
            (starts_with(content, _GIF_START), lambda: _gif_pixels(content)),
        ],
        default=lambda: tf.zeros([], tf.int64),
    )


def count_jpeg_pixels(content: Tensor) -> Tensor:
    """int64 `[]`, as the decoder itself reads it; fails for a file that it cannot read."""
    shape = tf.io.extract_jpeg_shape(content, output_type=tf.int32)
    return tf.reduce_prod(tf.cast(shape[:2], tf.int64))


def _png_pixels(content: Tensor) -> Tensor:
    """The first chunk is the header: width and height after its length and name."""
    header = _bytes(tf.strings.substr(content, 0, 24))
    return _area(_number(header, 19, 18, 17, 16), _number(header, 23, 22, 21, 20))


def _bmp_pixels(content: Tensor) -> Tensor:
    """Height is negative in a file that begins with the top row."""
    header = _bytes(tf.strings.substr(content, 0, 26))
    height = _number(header, 22, 23, 24, 25)
    return _area(_number(header, 18, 19, 20, 21), tf.minimum(height, (1 << 32) - height))


def _gif_pixels(content: Tensor) -> Tensor:
    """Walks over all blocks: every frame has a size of its own, and the header's binds none.

    Legend: `place` in the file, `inside` the data blocks that follow a frame or an extension.
    """
    data = _bytes(content)
    end = tf.size(data, tf.int64) - _SPARE

    def after_data_block(place: Tensor, *found: Tensor) -> tuple[Tensor, ...]:
        length = _number(data, place)
        return place + 1 + length, length > 0, *found

    def after_frame(place: Tensor, frames: Tensor, width: Tensor, height: Tensor) -> Any:
        flags = _number(data, place + 9)
        return (
            place + 11 + _colors_length(flags),  # With the byte that tells the code size.
            tf.constant(True),
            frames + 1,
            tf.maximum(width, _number(data, place + 5, place + 6)),
            tf.maximum(height, _number(data, place + 7, place + 8)),
        )

    def step(place: Tensor, inside: Tensor, *found: Tensor) -> tuple[Tensor, ...]:
        kind = _number(data, place)
        return tf.case(
            [
                (inside, lambda: after_data_block(place, *found)),
                (tf.equal(kind, 0x2C), lambda: after_frame(place, *found)),
                (tf.equal(kind, 0x21), lambda: (place + 2, tf.constant(True), *found)),
            ],
            default=lambda: (end, tf.constant(False), *found),  # The trailer, or no GIF.
        )

    none = tf.zeros([], tf.int64)
    first = 13 + _colors_length(_number(data, 10))
    place, _, frames, width, height = tf.while_loop(
        lambda place, *_: place < end,
        step,
        (first, tf.constant(False), none, none, none),
        maximum_iterations=_GIF_BLOCKS,
    )
    # Not at the end: too many blocks, or one that breaks off.
    return tf.where(tf.equal(place, end), frames * _area(width, height), none)


def _colors_length(flags: Tensor) -> Tensor:
    """Bytes of the table of colours that flags announce."""
    colors = tf.bitwise.left_shift(tf.constant(2, tf.int64), flags % 8)
    return tf.where(flags >= 128, 3 * colors, 0)


def _bytes(content: Tensor) -> Tensor:
    """uint8 of a file, and zeros after it: reading on where it breaks off must not fail."""
    return tf.pad(tf.io.decode_raw(content, tf.uint8), [[0, _SPARE]])


def _number(data: Tensor, *places: Any) -> Tensor:
    """int64 `[]` of the bytes at these places, the lowest first."""
    digits = tf.cast(tf.gather(data, tf.stack(places)), tf.int64)
    return tf.reduce_sum(digits * [256**i for i in range(len(places))])


def _area(width: Tensor, height: Tensor) -> Tensor:
    """Of sides below 2^32, without overflow; no decoder takes longer ones than 2^31."""
    limit = 1 << 31
    return tf.minimum(width, limit) * tf.minimum(height, limit)
