"""From the bytes of a picture file to pixels; no bit of depth is lost."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from keras_maskrcnn.data.headers import PictureHeader
from keras_maskrcnn.images.numpy_file import decode_array
from keras_maskrcnn.images.pixels import PixelFormat
from keras_maskrcnn.images.tiff import decode_tiff, with_one_error
from keras_maskrcnn.optional import needed_for

RGB = PixelFormat()


def decode_picture(content: bytes, header: PictureHeader, pixels: PixelFormat = RGB) -> np.ndarray:
    """Decodes a whole file whose header was read.

    JPEG, PNG, BMP and GIF (first frame) are decoded by TensorFlow, as exported models do.

    Args:
        content: the file.
        header: what `read_header` told of it, which was held against the limits of
            `data.picture_files`.
        pixels: what its pixels mean; see `PixelFormat.of_file` for how grey, colours and
            transparency become what it says.

    Returns:
        `[H, W, C]`, as stored: uint8; of more than 8 bits or another range, float32 on the scale
        0..255 with all of their depth.

    Raises:
        ValueError: if it cannot be decoded, or its values have no one meaning as a picture: several
            pages, other channels, numbers outside 0..1 without a range, numbers that are none.
    """
    white = None
    if header.format == "TIFF":
        values = decode_tiff(content, pixels.channels, header.bytes)
    elif header.format == "NumPy":
        return pixels.of_file(decode_array(content))
    elif header.format == "HEIC":
        values = _heic_values(content, header)
    elif header.format == "WebP":
        values = with_one_error(lambda: _webp_values(content))
    else:
        values = _decoded_by_tensorflow(content, header, pixels.channels)
    if 8 < header.bits < 16 and values.dtype == np.uint16:
        white = (1 << header.bits) - 1
    return pixels.of_file(values, white)


def _heic_values(content: bytes, header: PictureHeader) -> np.ndarray:
    with needed_for("reading HEIC", "maskrcnn-keras[heic]"):
        import pillow_heif
    if header.bits == 8:
        return with_one_error(lambda: _own_mode(pillow_heif.read_heif(content).to_pillow()))
    # By default the package keeps the upper 8 bits alone.
    options = {"convert_hdr_to_8bit": False, "hdr_to_16bit": False}
    return with_one_error(lambda: np.asarray(pillow_heif.open_heif(io.BytesIO(content), **options)))


def _webp_values(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content), formats=["WEBP"]) as picture:
        return _own_mode(picture)


def _own_mode(picture: Any) -> np.ndarray:
    """With transparency, where it has some; all else as RGB."""
    plain = picture.mode in ("L", "LA", "RGB", "RGBA")
    return np.asarray(picture if plain else picture.convert("RGB"))


def _decoded_by_tensorflow(content: bytes, header: PictureHeader, channels: int) -> np.ndarray:
    # A client of a server needs none of it for the other formats.
    import tensorflow as tf

    from keras_maskrcnn.tensorflow_errors import without_internals

    # 0: as many as the file has.
    channels = 3 if channels == 3 else 0
    try:
        with tf.device("CPU"):
            if header.format == "JPEG":
                image = tf.io.decode_jpeg(content, channels=channels, dct_method="INTEGER_ACCURATE")
            elif header.bits == 16:
                image = tf.io.decode_png(content, channels=channels, dtype=tf.uint16)
            else:
                image = tf.io.decode_image(content, channels=channels, expand_animations=False)
            return image.numpy()
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(without_internals(error.message)) from None
