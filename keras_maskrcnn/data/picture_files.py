"""The bytes of a picture file: only of a regular file, and only where decoding it is safe."""

from __future__ import annotations

import base64
import binascii
import json
import os
import stat

from keras_maskrcnn.data.headers import PictureHeader, read_header
from keras_maskrcnn.data.shard_files import read_shard_picture, shard_place
from keras_maskrcnn.images.formats import named_format

# The one place of these limits. A file of a few kilobytes can announce a picture of gigabytes;
# as many pixels as here decode to 300 MB, and an exported model takes as many.
MAX_PIXELS = 100_000_000
# What a picture may take in memory as it is stored: as many pixels of RGB of 16 bits. Channels and
# bytes can be many where pixels are few.
MAX_PICTURE_BYTES = 6 * MAX_PIXELS
# Of the formats of which windows are read alone: a data set may have such pictures, which are
# trained on by crops.
_IN_PARTS = (*named_format("TIFF").suffixes, *named_format("NumPy").suffixes)
MAX_PIXELS_IN_PARTS = 4_000_000_000
# What a header takes: most end within the first of these, nearly all within the second.
_FIRST_BYTES = (1 << 12, 1 << 16)
# What a picture of that many pixels takes without any compression.
MAX_FILE_BYTES = 3 * MAX_PIXELS


def most_pixels(path: str | os.PathLike[str]) -> int:
    """How many pixels a picture of a data set may have, by its name."""
    name = os.fspath(path).lower()
    return MAX_PIXELS_IN_PARTS if name.endswith(_IN_PARTS) else MAX_PIXELS


def read_picture_file(path: str | os.PathLike[str]) -> bytes:
    """The content alone of `open_picture_file`."""
    return open_picture_file(path)[0]


def open_picture_file(path: str | os.PathLike[str]) -> tuple[bytes, PictureHeader]:
    """Reads a picture file whose picture fits into memory.

    Args:
        path: path of the file; of a link, the file that it leads to counts. Of a JSON file, which
            LabelMe writes, the picture that is embedded in it as `imageData`; of an address within
            a shard (see `data.shard_files`), that picture.

    Returns:
        The whole picture file, and its header. That is in order and announces at most `MAX_PIXELS`
        (of a GIF, in all its frames, since a decoder holds them all) and `MAX_PICTURE_BYTES`; the
        rest may be damaged.

    Raises:
        ValueError: if there is no regular file (a device, a pipe or a folder is never opened), it
            is of another kind, holds no picture, or is beyond `MAX_FILE_BYTES`, `MAX_PIXELS` or
            `MAX_PICTURE_BYTES`; the message names it.
    """
    name = os.fspath(path)
    place = shard_place(name)
    if place is not None:
        content = read_shard_picture(place)
        return content, check_content(content, name)
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:  # Of a name with a null byte, Python's own error.
        raise ValueError(f"Cannot read the picture {name}: {error}") from error
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"Expected a picture file. Received: {name}, which is no regular file")
    if status.st_size > MAX_FILE_BYTES:
        raise ValueError(
            f"Expected a picture file of at most {MAX_FILE_BYTES} bytes. Received: {name} of "
            f"{status.st_size} bytes"
        )
    try:
        with open(path, "rb") as file:
            content = file.read(status.st_size)
    except OSError as error:
        raise ValueError(f"Cannot read the picture {name}: {error}") from error
    if is_embedded(name):
        content = _embedded(content, name)
    return content, check_content(content, name)


def check_content(content: bytes, name: str) -> PictureHeader:
    """The header of a picture file that was read, if it is in order and within the limits.

    Raises:
        ValueError: as `open_picture_file`, of the content.
    """
    try:
        header = read_header(content)
    except ValueError as error:
        raise ValueError(
            f"Cannot decode the picture {name} ({len(content)} bytes): {error}"
        ) from error
    if header.pixels > MAX_PIXELS:
        raise ValueError(
            f"Expected a picture of at most {MAX_PIXELS} pixels. Received: {name}, which decodes "
            f"to {header.pixels} pixels, of height {header.height} and width {header.width}"
        )
    if header.bytes > MAX_PICTURE_BYTES:
        raise ValueError(
            f"Expected a picture of at most {MAX_PICTURE_BYTES} bytes in memory. Received: {name}, "
            f"of which {header.height} x {header.width} pixels of {header.channels} channels of "
            f"{header.bits} bits take {header.bytes}"
        )
    return header


def read_picture_header(path: str | os.PathLike[str]) -> PictureHeader:
    """What a picture file says of itself, of which no more is read than is needed.

    Args:
        path: as `read_picture_file` takes it; of a regular file.

    Raises:
        OSError: if it cannot be opened.
        ValueError: if it is no picture file, or its header is damaged.
    """
    if is_embedded(path) or shard_place(path) is not None:
        return open_picture_file(path)[1]
    # Without a buffer, which would ask the system twice.
    with open(path, "rb", buffering=0) as file:
        start = b""
        for most in _FIRST_BYTES:
            start += file.read(most - len(start))
            # A GIF is as large as its largest frame.
            if start.startswith(b"GIF8"):
                break
            try:
                return read_header(start)
            except ValueError:
                continue
        return read_header(start + file.read(MAX_FILE_BYTES))


def is_embedded(path: str | os.PathLike[str]) -> bool:
    """Whether a picture of that path lies within a JSON file."""
    return os.fspath(path).lower().endswith(".json")


def _embedded(content: bytes, name: str) -> bytes:
    try:
        document = json.loads(content)
        return base64.b64decode(document["imageData"], validate=True)
    except (ValueError, RecursionError, KeyError, TypeError, binascii.Error) as error:
        raise ValueError(
            f"Expected a JSON file with a picture as base64 text, imageData. "
            f"Received: {name} ({type(error).__name__})"
        ) from None
