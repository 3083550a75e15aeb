"""What a picture file says of itself, read without decoding any of it.

The formats and what is read of them follow TensorFlow's decoders, which the exported model holds.
"""

from __future__ import annotations

import dataclasses
import struct

_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
# A progressive file can hold any number of scans, each of which costs a pass over all pixels.
# Cameras and editors write about ten.
_JPEG_SCANS = 500
_ORIENTATION_TAG = 0x0112


@dataclasses.dataclass(frozen=True)
class PictureHeader:
    """Format and size of a picture.

    Args:
        format: `"JPEG"`, `"PNG"`, `"GIF"` or `"BMP"`.
        height, width: as stored, in pixels.
        pixels: that decoding holds in memory: of all frames, in a GIF.
        orientation: EXIF's, 1 (as stored) to 8.
    """

    format: str
    height: int
    width: int
    pixels: int
    orientation: int = 1


def read_header(content: bytes) -> PictureHeader:
    """Reads the header of a JPEG, PNG, GIF or BMP file.

    Args:
        content: the whole file.

    Raises:
        ValueError: when it is no such file, or its header is damaged.
    """
    for start, name, read in (
        (b"\xff\xd8\xff", "JPEG", _read_jpeg),
        (b"\x89PNG\r\n\x1a\n", "PNG", _read_png),
        (b"GIF8", "GIF", _read_gif),
        (b"BM", "BMP", _read_bmp),
    ):
        if content.startswith(start):
            try:
                header = read(content)
            except (struct.error, IndexError):
                header = None
            if header is None or header.height < 1 or header.width < 1:
                raise ValueError(
                    f"expected a whole {name} file. Received: {len(content)} bytes without a "
                    "valid size of the picture"
                )
            return header
    raise ValueError(
        f"expected a JPEG, PNG, BMP or GIF file. Received: {len(content)} bytes that are none"
    )


def _read_jpeg(content: bytes) -> PictureHeader | None:
    if content.count(b"\xff\xda") > _JPEG_SCANS:
        raise ValueError(f"expected a JPEG file of at most {_JPEG_SCANS} scans")
    orientation, at = 1, 2
    while True:
        # What lies between segments is skipped, and so are fill bytes.
        at = content.find(b"\xff", at)
        if at < 0:
            return None
        while content[at] == 0xFF:
            at += 1
        marker = content[at]
        at += 1
        if marker in _JPEG_WITHOUT_LENGTH or marker == 0:
            continue
        if marker in (0xD9, 0xDA):  # The end, or a scan before any frame.
            return None
        (length,) = struct.unpack_from(">H", content, at)
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", content, at + 3)
            return PictureHeader("JPEG", height, width, height * width, orientation)
        if marker == 0xE1 and content[at + 2 : at + 8] == b"Exif\0\0":
            orientation = _orientation(content[at + 8 : at + length])
        at += length


def _read_png(content: bytes) -> PictureHeader | None:
    if content[12:16] != b"IHDR":
        return None
    width, height = struct.unpack_from(">II", content, 16)
    orientation, at = 1, 8
    while at + 8 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        kind = content[at + 4 : at + 8]
        if kind == b"IDAT":
            break
        if kind == b"eXIf":
            orientation = _orientation(content[at + 8 : at + 8 + length])
        at += 12 + length
    return PictureHeader("PNG", height, width, height * width, orientation)


def _read_gif(content: bytes) -> PictureHeader | None:
    """The largest frame is the picture's size, and the decoder holds every frame."""
    height = width = frames = 0
    at = 13 + _gif_table(content[10])
    while at < len(content) and content[at] in (0x21, 0x2C):
        if content[at] == 0x21:
            at += 2
        else:
            frame_width, frame_height = struct.unpack_from("<HH", content, at + 5)
            height, width = max(height, frame_height), max(width, frame_width)
            frames += 1
            at += 11 + _gif_table(content[at + 9])
        while at < len(content) and content[at]:
            at += 1 + content[at]
        at += 1
    return PictureHeader("GIF", height, width, frames * height * width)


def _gif_table(flags: int) -> int:
    """Bytes of the colour table that the flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _read_bmp(content: bytes) -> PictureHeader:
    width, height = struct.unpack_from("<ii", content, 18)
    return PictureHeader("BMP", abs(height), width, abs(height) * width)


def _orientation(exif: bytes) -> int:
    """Of a TIFF block; 1 where it has none or is damaged, as viewers do."""
    try:
        order = {b"II": "<", b"MM": ">"}[exif[:2]]
        (at,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", exif, entry)
            if tag == _ORIENTATION_TAG and kind == 3:
                (value,) = struct.unpack_from(f"{order}H", exif, entry + 8)
                return value if 1 <= value <= 8 else 1
    except (KeyError, struct.error):
        pass
    return 1
