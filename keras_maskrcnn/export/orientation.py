"""EXIF's orientation of a picture file, and pictures turned by it, in stock TensorFlow ops.

The twin of `data.headers.read_header(...).orientation` and `images.orientation.upright`: the same
bytes decide, and what is damaged or absent counts as 1. Only the heads of segments and chunks are
looked at, and an EXIF block where there is one, never all the pixels of a file.

Legend: `place` in the file, in bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from keras_maskrcnn.export.headers import JPEG_START, PNG_START, starts_with
from keras_maskrcnn.images.orientation import exchanges_sides, stored_to_upright

Tensor = Any

# Segments or chunks that are looked at before the pixels, and stretches of what is neither. Files
# have a dozen, with the largest colour profile 300; more would only keep a server busy.
_STEPS = 1 << 11
# Bytes in which the next segment of a JPEG file is looked for.
_WINDOW = 1 << 14
# The shortest head that is of interest: of a chunk, or of a JPEG's frame.
_HEAD = 8

_APP1 = 0xE1
_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
# Behind these, or at the file's end or a scan, no orientation is looked for.
_LAST = np.isin(np.arange(256), (*_FRAMES, 0xD9, 0xDA))
# A mark that is followed by its length: no fill byte, and none of the marks that stand alone.
_MARKS = ~np.isin(np.arange(256), (0x00, 0x01, *range(0xD0, 0xD9), 0xFF))

_TAG, _SHORT = 0x0112, 3
_FIELD = 12  # bytes of a field in a directory of TIFF


def read_orientation(content: Tensor) -> Tensor:
    """EXIF's orientation of a JPEG or PNG file.

    Args:
        content: string `[]`, a whole file.

    Returns:
        int32 `[]`: 1 (as stored) to 8; 1 for a file that has none, whose EXIF block is damaged, or
        that is of another kind. 0 where it is not known, since more than 2048 segments or chunks
        come before the pixels.
    """
    found = tf.case(
        [
            (starts_with(content, JPEG_START), lambda: _walk(content, 2, _jpeg_step)),
            (starts_with(content, PNG_START), lambda: _walk(content, 8, _png_step)),
        ],
        default=lambda: tf.ones([], tf.int64),
    )
    return tf.cast(found, tf.int32)


def upright(pixels: Tensor, orientation: Tensor) -> Tensor:
    """Turns a picture as it is stored to the way it is to be looked at.

    Args:
        pixels: `[h, w, 3]`.
        orientation: int32 `[]`, 1 to 8.
    """
    turns = [lambda o=o: _turned(pixels, o) for o in range(1, 9)]
    return tf.ensure_shape(tf.switch_case(orientation - 1, turns), [None, None, 3])


def _turned(pixels: Tensor, orientation: int) -> Tensor:
    if exchanges_sides(orientation):
        pixels = tf.transpose(pixels, [1, 0, 2])
    # Where a point at the corner moves to the other end of an axis, that axis is reversed.
    columns, rows = stored_to_upright(1, 1, orientation)[:, 2] > 0
    reversed_axes = [axis for axis, is_reversed in enumerate((rows, columns)) if is_reversed]
    return tf.reverse(pixels, reversed_axes) if reversed_axes else tf.identity(pixels)


Step = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def _walk(content: Tensor, first: int, step: Step) -> Tensor:
    """Goes from segment to segment, or from chunk to chunk, each of which may tell another one.

    Args:
        content: the file.
        first: where the first begins.
        step: from the file, a place and the orientation so far to the next ones; the place is the
            file's end where the rest is of no interest.
    """
    last = _length(content) - _HEAD
    place, orientation = tf.while_loop(
        lambda place, _: place <= last,
        lambda place, orientation: step(content, place, orientation),
        (tf.constant(first, tf.int64), tf.ones([], tf.int64)),
        maximum_iterations=_STEPS,
    )
    return tf.where(place <= last, tf.zeros([], tf.int64), orientation)


def _jpeg_step(content: Tensor, place: Tensor, orientation: Tensor) -> tuple[Tensor, Tensor]:
    """To the next segment, over whatever lies before it, and past it."""
    window = tf.cast(tf.io.decode_raw(_piece(content, place, _WINDOW), tf.uint8), tf.int32)
    begins = tf.equal(window[:-1], 0xFF) & tf.gather(_MARKS, window[1:])

    def segment() -> tuple[Tensor, Tensor]:
        at = place + tf.argmax(begins) + 1  # Of the mark, the first byte after the last 0xFF.
        kind, length = _number(content, at, 1), _number(content, at + 1, 2)
        is_exif = tf.equal(kind, _APP1) & tf.equal(_piece(content, at + 3, 6), b"Exif\0\0")
        after = tf.where(tf.gather(_LAST, kind), _length(content), at + 1 + length)
        return after, tf.cond(
            is_exif,
            lambda: _exif_orientation(_piece(content, at + 9, tf.maximum(length - 8, 0))),
            lambda: orientation,
        )

    # The window's last byte may be the first of a mark.
    return tf.cond(tf.reduce_any(begins), segment, lambda: (place + _WINDOW - 1, orientation))


def _png_step(content: Tensor, place: Tensor, orientation: Tensor) -> tuple[Tensor, Tensor]:
    """Over one chunk: its length, its name, that many bytes, and their checksum."""
    length, name = _number(content, place, 4), _piece(content, place + 4, 4)
    is_last = tf.equal(name, b"IDAT")
    return tf.where(is_last, _length(content), place + 12 + length), tf.cond(
        tf.equal(name, b"eXIf"),
        lambda: _exif_orientation(_piece(content, place + 8, length)),
        lambda: orientation,
    )


def _exif_orientation(block: Tensor) -> Tensor:
    """int64 `[]`: of a TIFF block, string `[]`."""
    is_long_enough = _length(block) >= _FIELD
    return tf.case(
        [
            (is_long_enough & starts_with(block, b"II"), lambda: _tiff_orientation(block, True)),
            (is_long_enough & starts_with(block, b"MM"), lambda: _tiff_orientation(block, False)),
        ],
        default=lambda: tf.ones([], tf.int64),
    )


def _tiff_orientation(block: Tensor, is_little: bool) -> Tensor:
    """Of the first directory: a number of fields, then these, in which the value comes fifth.

    The number takes two bytes, as many as a field has after its value. So in rows of a field's
    length that begin at the number, row by row stand the end of what came before, and a field
    without its end. A field whose value is cut off is of no use.
    """

    def words(text: Tensor) -> Tensor:
        return tf.cast(tf.io.decode_raw(text, tf.uint16, little_endian=is_little), tf.int64)

    offset = tf.reduce_sum(
        words(_piece(block, 4, 4)) * ([1, 1 << 16] if is_little else [1 << 16, 1])
    )
    whole = tf.clip_by_value((_length(block) - offset) // _FIELD, 0, (1 << 16) - 1)
    rows = tf.reshape(words(_piece(block, offset, whole * _FIELD)), [-1, _FIELD // 2])
    fields = rows[: tf.reduce_sum(rows[:1, 0])]
    is_orientation = tf.equal(fields[:, 1], _TAG) & tf.equal(fields[:, 2], _SHORT)
    value = tf.concat([tf.boolean_mask(fields[:, 5], is_orientation), [1]], 0)[0]
    return tf.where((value >= 1) & (value <= 8), value, 1)


def _piece(content: Tensor, place: Any, count: Any) -> Tensor:
    """string `[]`: so many bytes, or what there is of them before the end."""
    start = tf.minimum(tf.cast(place, tf.int64), _length(content))
    return tf.strings.substr(content, start, tf.cast(count, tf.int64))


def _number(content: Tensor, place: Tensor, count: int) -> Tensor:
    """int64 `[]`: of so many bytes, the highest first; zeros are read beyond the end."""
    text = _piece(content, place, count)
    digits = tf.cast(tf.io.decode_raw(text, tf.uint8, fixed_length=count), tf.int64)
    return tf.reduce_sum(digits * [256**i for i in reversed(range(count))])


def _length(content: Tensor) -> Tensor:
    return tf.cast(tf.strings.length(content), tf.int64)
