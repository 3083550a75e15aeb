"""Masks that are stored as pictures: in files, or within JSON; bounded before they are decoded."""

from __future__ import annotations

import base64
import binascii
import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_maskrcnn.data.formats.problems import ItemError, shown
from keras_maskrcnn.data.headers import read_header
from keras_maskrcnn.data.picture_files import MAX_PIXELS, read_picture_file
from keras_maskrcnn.images.tiff import decode_tiff

# A PNG that compresses nothing takes as many bytes for each pixel, and some for its parts.
_BYTES_PER_PIXEL, _MORE_BYTES = 4, 1 << 16


def decode_base64(text: Any, pixels: int) -> bytes:
    """The bytes of a base64 text: those of a mask of at most so many pixels."""
    if not isinstance(text, str):
        raise ItemError("mask is no base64 text", f" ({shown(text)})")
    if len(text) > 2 * _most_bytes(pixels):
        raise ItemError("mask is larger than its picture", f" ({len(text)} characters)")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ItemError("mask is no base64 text", f" ({shown(text)})") from None


def inflate(content: bytes, pixels: int) -> bytes:
    """What zlib compressed, never more than a mask of so many pixels takes."""
    stream = zlib.decompressobj()
    try:
        result = stream.decompress(content, _most_bytes(pixels))
    except zlib.error:
        raise ItemError("mask is not compressed by zlib") from None
    if not stream.eof:
        raise ItemError(
            "mask is cut off, or larger than its picture", f" ({len(result)} bytes and more)"
        )
    return result


def _most_bytes(pixels: int) -> int:
    return _BYTES_PER_PIXEL * pixels + _MORE_BYTES


def png_values(content: bytes, mode: str | None = None, pixels: int = MAX_PIXELS) -> np.ndarray:
    """The values of a PNG, or of a TIFF of ids, as they are stored: of a PNG's palette the indices,
    never its colours.

    Args:
        content: the file.
        mode: of Pillow, to which the picture is brought; by default its own.
        pixels: that it has at most.

    Returns:
        `[h, w]` of unsigned integers or bools; `[h, w, c]` where it has several channels.

    Raises:
        ItemError: if it is of another format (JPEG changes the values), too large, or damaged.
    """
    try:
        header = read_header(content)
    except ValueError as error:
        raise ItemError("mask cannot be decoded", f" ({error})") from None
    if header.format != "PNG" and (header.format != "TIFF" or mode is not None):
        raise ItemError("mask is no PNG, so that its values are not exact", f" ({header.format})")
    if header.pixels > pixels:
        raise ItemError(
            "mask has more pixels than its picture may have", f" ({header.height} x {header.width})"
        )
    try:
        if header.format == "TIFF":
            return _integers(decode_tiff(content))
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            return np.asarray(picture if mode is None else picture.convert(mode))
    except Exception as error:  # Pillow raises of several kinds for damaged files.
        raise ItemError("mask cannot be decoded", f" ({shown(str(error))})") from None


def _integers(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "bui":
        raise ValueError(f"expected integers. Received: values of type {values.dtype}")
    return values


def mask_file(path: Path, mode: str | None = None) -> np.ndarray:
    """The values of a mask's file; see `png_values`."""
    try:
        content = read_picture_file(path)
    except ValueError as error:
        raise ItemError("mask cannot be read", f" ({shown(str(error))})") from None
    return png_values(content, mode)


def colour_file(path: Path) -> np.ndarray:
    """The colours of a mask's file, int64 `[h, w]`: red * 65536 + green * 256 + blue."""
    red, green, blue = np.moveaxis(mask_file(path, "RGB").astype(np.int64), -1, 0)
    return red << 16 | green << 8 | blue


def one_channel(values: np.ndarray) -> np.ndarray:
    """`ItemError` for a mask of colours, whose values are no ids."""
    if values.ndim != 2:
        raise ItemError(f"mask has {values.shape[2]} channels, so that its values are no ids")
    return values


def mask_bits(values: np.ndarray) -> np.ndarray:
    """Where a mask is set: by its alpha, where it has some, else where it is not 0."""
    if values.ndim == 2:
        return values != 0
    if values.shape[2] in (2, 4):
        values = values[..., -1:]
    return (values != 0).any(axis=-1)
