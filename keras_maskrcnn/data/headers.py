"""What a picture file says of itself, read without decoding any of it.

What is read of JPEG, PNG, GIF and BMP follows TensorFlow's decoders, which exported models hold.
"""

from __future__ import annotations

import dataclasses
import io
import re
import struct
from collections.abc import Callable

from keras_maskrcnn.images.formats import format_of, named, picture_formats
from keras_maskrcnn.images.numpy_file import read_array_header
from keras_maskrcnn.optional import needed_for

_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# A progressive file can hold any number of scans, each of which costs a pass over all pixels.
# Cameras and editors write about ten.
_JPEG_SCANS = 500
# Of a segment with a length. What lies between segments is skipped, and so are fill bytes and marks
# that stand alone.
_JPEG_MARK = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
# Segments of a JPEG, or chunks of a PNG, before the picture: an exported model walks over no more,
# and over 20 MB of tiny ones Python would walk for half a minute.
MOST_PARTS = 1 << 11
_WIDTH_TAG, _HEIGHT_TAG, _BITS_TAG, _ORIENTATION_TAG = 0x0100, 0x0101, 0x0102, 0x0112
_CHANNELS_TAG = 0x0115
_TAGS_READ = (_WIDTH_TAG, _HEIGHT_TAG, _BITS_TAG, _ORIENTATION_TAG, _CHANNELS_TAG)
# No directory of a real file has as many.
_TIFF_TAGS = 4096
# An animation has one for each frame.
_WEBP_CHUNKS = 10_000


@dataclasses.dataclass(frozen=True)
class PictureHeader:
    """Format and size of a picture.

    Args:
        format: name of a `images.formats.PictureFormat`.
        height, width: as stored, in pixels.
        pixels: that decoding holds in memory: of all frames, in a GIF.
        orientation: EXIF's, 1 (as stored) to 8.
        bits: of each channel: 8; 16 of PNG; 8 to 64 of TIFF and NumPy; 10 or 12 of HEIC.
        channels: that decoding holds in memory; of TIFF and NumPy, as stored.
    """

    format: str
    height: int
    width: int
    pixels: int
    orientation: int = 1
    bits: int = 8
    channels: int = 3

    @property
    def bytes(self) -> int:
        """That decoding holds in memory, at the file's own depth."""
        return self.pixels * self.channels * -(-self.bits // 8)


def read_header(content: bytes) -> PictureHeader:
    """Reads the header of a picture file.

    Args:
        content: the whole file, or so much of its beginning that the header is within.

    Raises:
        ValueError: when it is of no format that is read, its header is damaged or not there, or a
            package is not installed that the format needs.
    """
    format = format_of(content)
    if format is None:
        raise ValueError(
            f"expected a {named(picture_formats())} file. Received: {len(content)} bytes that are "
            "none"
        )
    try:
        header = _READERS[format.name](content)
    except (struct.error, IndexError):
        header = None
    except ImportError as error:
        raise ValueError(str(error)) from None
    if header is None or header.height < 1 or header.width < 1:
        raise ValueError(
            f"expected a whole {format.name} file. Received: {len(content)} bytes without a "
            "valid size of the picture"
        )
    return header


def _read_jpeg(content: bytes) -> PictureHeader | None:
    if content.count(b"\xff\xda") > _JPEG_SCANS:
        raise ValueError(f"expected a JPEG file of at most {_JPEG_SCANS} scans")
    orientation, at = 1, 2
    for _ in range(MOST_PARTS):
        mark = _JPEG_MARK.search(content, at)
        if mark is None:
            return None
        marker, at = mark[0][1], mark.end()
        if marker in (0xD9, 0xDA):  # The end, or a scan before any frame.
            return None
        (length,) = struct.unpack_from(">H", content, at)
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", content, at + 3)
            return PictureHeader("JPEG", height, width, height * width, orientation)
        if marker == 0xE1 and content[at + 2 : at + 8] == b"Exif\0\0":
            orientation = _orientation(content[at + 8 : at + length])
        at += length
    raise ValueError(f"expected a JPEG file of at most {MOST_PARTS} segments before its picture")


def _read_png(content: bytes) -> PictureHeader | None:
    if content[12:16] != b"IHDR":
        return None
    width, height = struct.unpack_from(">II", content, 16)
    orientation, at = 1, 8
    for _ in range(MOST_PARTS):
        if at + 8 > len(content):
            break
        (length,) = struct.unpack_from(">I", content, at)
        kind = content[at + 4 : at + 8]
        if kind == b"IDAT":
            break
        if kind == b"eXIf":
            orientation = _orientation(content[at + 8 : at + 8 + length])
        at += 12 + length
    else:
        raise ValueError(f"expected a PNG file of at most {MOST_PARTS} chunks before its picture")
    bits = 16 if content[24] == 16 else 8
    return PictureHeader("PNG", height, width, height * width, orientation, bits)


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


def _read_webp(content: bytes) -> PictureHeader | None:
    """The first chunk tells what follows; EXIF comes after all pixels."""
    kind, flags = content[12:16], content[20]
    orientation = 1
    if kind == b"VP8 ":
        width, height = (value & 0x3FFF for value in struct.unpack_from("<HH", content, 26))
    elif kind == b"VP8L":
        (sides,) = struct.unpack_from("<I", content, 21)
        width, height = (sides & 0x3FFF) + 1, (sides >> 14 & 0x3FFF) + 1
    elif kind == b"VP8X":
        width, height = (
            1 + int.from_bytes(content[start : start + 3], "little") for start in (24, 27)
        )
        if flags & 0x08:
            orientation = _webp_orientation(content)
    else:
        return None
    return PictureHeader("WebP", height, width, height * width, orientation)


def _webp_orientation(content: bytes) -> int:
    at = 12
    for _ in range(_WEBP_CHUNKS):
        (length,) = struct.unpack_from("<I", content, at + 4)
        if content[at : at + 4] == b"EXIF":
            exif = content[at + 8 : at + 8 + length]
            return _orientation(exif.removeprefix(b"Exif\0\0"))
        at += 8 + length + length % 2
    return 1


def _read_tiff(content: bytes) -> PictureHeader | None:
    """The first picture of the file, by its own directory."""
    order = "<" if content.startswith(b"II") else ">"
    is_big = content[2:4] in (b"+\0", b"\0+")
    offset, count, size = ("Q", "Q", 20) if is_big else ("I", "H", 12)
    (at,) = struct.unpack_from(f"{order}{offset}", content, 8 if is_big else 4)
    (entries,) = struct.unpack_from(f"{order}{count}", content, at)
    if entries > _TIFF_TAGS:
        return None
    first = at + (8 if is_big else 2)
    tags: dict[int, int] = {}
    for entry in range(first, first + size * entries, size):
        tag, kind = struct.unpack_from(f"{order}HH", content, entry)
        (length,) = struct.unpack_from(f"{order}{offset}", content, entry + 4)
        letter = {1: "B", 3: "H", 4: "I", 16: "Q"}.get(kind)
        if letter is None:
            continue
        place = entry + (12 if is_big else 8)
        if length * struct.calcsize(letter) > (8 if is_big else 4):
            (place,) = struct.unpack_from(f"{order}{offset}", content, place)
        if tag in _TAGS_READ:
            (tags[tag],) = struct.unpack_from(f"{order}{letter}", content, place)
    height, width = tags.get(_HEIGHT_TAG, 0), tags.get(_WIDTH_TAG, 0)
    orientation = tags.get(_ORIENTATION_TAG, 1)
    orientation = orientation if 1 <= orientation <= 8 else 1
    bits = max(8, tags.get(_BITS_TAG, 1))
    channels = max(1, tags.get(_CHANNELS_TAG, 1))
    return PictureHeader("TIFF", height, width, height * width, orientation, bits, channels)


def _read_heic(content: bytes) -> PictureHeader | None:
    """Its decoder turns the picture upright by itself."""
    with needed_for("reading HEIC", "maskrcnn-keras[heic]"):
        import pillow_heif
    try:
        picture = pillow_heif.open_heif(io.BytesIO(content))
        width, height = picture.size
        bits = int(picture.info.get("bit_depth", 8))
    except Exception:  # The package raises of several kinds for damaged files.
        return None
    return PictureHeader("HEIC", height, width, height * width, bits=bits)


def _read_numpy(content: bytes) -> PictureHeader:
    array = read_array_header(content)
    height, width, channels = (*array.shape, 1)[:3]
    bits = 8 * array.dtype.itemsize
    return PictureHeader("NumPy", height, width, height * width, bits=bits, channels=channels)


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


_READERS: dict[str, Callable[[bytes], PictureHeader | None]] = {
    "JPEG": _read_jpeg,
    "PNG": _read_png,
    "GIF": _read_gif,
    "BMP": _read_bmp,
    "WebP": _read_webp,
    "TIFF": _read_tiff,
    "HEIC": _read_heic,
    "NumPy": _read_numpy,
}
