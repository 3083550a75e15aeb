"""From the bytes of a picture file to pixels; no bit of depth is lost."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from keras_maskrcnn.data.headers import PictureHeader
from keras_maskrcnn.images.tiff import decode_tiff, with_one_error
from keras_maskrcnn.optional import needed_for

# Values of 16 bits as parts of 255: 65535 is white, as 255 is of 8 bits.
_WHITE_16 = 257.0


def decode_picture(content: bytes, header: PictureHeader) -> np.ndarray:
    """Decodes a whole file whose header was read.

    JPEG, PNG, BMP and GIF (first frame) are decoded by TensorFlow, as exported models do. Grey and
    transparent pictures become RGB (transparency is dropped).

    Args:
        content: the file.
        header: what `read_header` told of it.

    Returns:
        `[H, W, 3]`, RGB, as stored: uint8; of more than 8 bits, float32 0..255 with all of their
        depth.

    Raises:
        ValueError: if it cannot be decoded, or its values have no one meaning as a picture: several
            pages, more channels than colours and transparency, numbers outside 0..1.
    """
    if header.format == "TIFF":
        return _as_picture(decode_tiff(content))
    if header.format == "HEIC":
        with needed_for("reading HEIC", "maskrcnn-keras[heic]"):
            import pillow_heif
        return with_one_error(lambda: pillow_heif.read_heif(content).to_pillow())
    if header.format == "WebP":
        return with_one_error(lambda: Image.open(io.BytesIO(content), formats=["WEBP"]))
    return _as_picture(_decoded_by_tensorflow(content, header))


def _decoded_by_tensorflow(content: bytes, header: PictureHeader) -> np.ndarray:
    # A client of a server needs none of it for the other formats.
    import tensorflow as tf

    from keras_maskrcnn.tensorflow_errors import without_internals

    try:
        with tf.device("CPU"):
            if header.format == "JPEG":
                image = tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE")
            elif header.bits == 16:
                image = tf.io.decode_png(content, channels=3, dtype=tf.uint16)
            else:
                image = tf.io.decode_image(content, channels=3, expand_animations=False)
            return image.numpy()
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(without_internals(error.message)) from None


def _as_picture(values: np.ndarray) -> np.ndarray:
    """`[H, W, 3]`, uint8 or float32 0..255, of values whose largest possible one is white."""
    if values.ndim == 2:
        values = values[..., None]
    channels = values.shape[2] if values.ndim == 3 else 0
    if channels not in (1, 2, 3, 4):
        raise ValueError(
            "expected a grey or RGB picture, with transparency or without. Received: values of "
            f"shape {values.shape}"
        )
    values = values[..., : 3 if channels > 2 else 1]
    if values.dtype == np.uint16:
        values = values.astype(np.float32) / np.float32(_WHITE_16)
    elif values.dtype.kind == "f":
        values = _of_parts(values)
    elif values.dtype == bool:
        values = values.astype(np.uint8) * np.uint8(255)
    elif values.dtype != np.uint8:
        raise ValueError(
            "expected unsigned integers of 8 or 16 bits, or floats in 0..1. "
            f"Received: values of type {values.dtype}"
        )
    return np.ascontiguousarray(np.broadcast_to(values, (*values.shape[:2], 3)))


def _of_parts(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"expected floats in 0..1, of which 1 is white. Received: values of {low:g} to {high:g}"
        )
    return values.astype(np.float32) * np.float32(255)
