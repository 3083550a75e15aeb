"""Pixels of picture files, upright."""

from __future__ import annotations

import os

import numpy as np

from keras_maskrcnn.data.decoding import RGB, decode_picture
from keras_maskrcnn.data.headers import PictureHeader
from keras_maskrcnn.data.picture_files import open_picture_file
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.images.orientation import upright
from keras_maskrcnn.images.pixels import PixelFormat


def read_image(path: str | os.PathLike[str], pixels: PixelFormat = RGB) -> np.ndarray:
    """Decodes a file of one of `images.formats`, and turns it upright.

    By default, grey and transparent pictures become RGB (transparency is dropped). An EXIF
    orientation is applied, as viewers and annotation tools do (and detectron2; torchvision and the
    COCO tools do not).

    Args:
        path: path of the file.
        pixels: what its pixels mean.

    Returns:
        `[H, W, C]`: uint8; of more than 8 bits or another range, float32 on the scale 0..255 (not
        clipped) with all of their depth.

    Raises:
        ValueError: if the file is missing, no regular file, beyond the limits of
            `data.picture_files`, or cannot be decoded; the message names it.
    """
    content, header = open_picture_file(path)
    return decode_file(path, content, header, pixels)


def decode_file(
    path: str | os.PathLike[str], content: bytes, header: PictureHeader, pixels: PixelFormat = RGB
) -> np.ndarray:
    """`read_image` of a file that `open_picture_file` read already."""
    try:
        return upright(decode_picture(content, header, pixels), header.orientation)
    except ValueError as error:
        raise ValueError(
            f"Cannot decode the picture {os.fspath(path)} ({len(content)} bytes): {error}"
        ) from None


def read_picture(record: ImageRecord, pixels: PixelFormat = RGB) -> np.ndarray:
    """Decodes the picture of a record; see `read_image`.

    Raises:
        ValueError: if it cannot be read, or is not of the annotated size; the message names the
            image id and the file.
    """
    try:
        image = read_image(record.path, pixels)
    except ValueError as error:
        raise ValueError(f"Image id {record.image_id}: {error}") from error
    require_size(record, image.shape[:2])
    return image


def require_size(record: ImageRecord, size: tuple[int, ...]) -> None:
    """`ValueError`, with the image id and the file, unless a picture has its annotated size."""
    if size != (record.height, record.width):
        raise ValueError(
            f"Image id {record.image_id}: expected {record.path} to have height and width "
            f"{(record.height, record.width)}, as annotated. Received: {size}"
        )
