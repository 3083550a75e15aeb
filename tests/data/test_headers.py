"""Headers against what the decoders make of the same files."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from keras_maskrcnn.data.headers import read_header
from keras_maskrcnn.images.orientation import upright


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width, height):
    """A PNG file of a few bytes that announces a picture of any size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))


def save(pixels, format, **options):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format, **options)
    return content.getvalue()


PIXELS = np.random.default_rng(0).integers(0, 256, (13, 29, 3), np.uint8)


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"exif": Image.Exif(), "comment": b"\xff\xc0 no frame"}),
        ("PNG", {}),
        ("GIF", {}),
        ("BMP", {}),
    ],
)
def test_size_is_the_decoders(format, options):
    content = save(PIXELS, format, **options)
    header = read_header(content)
    decoded = tf.io.decode_image(content, channels=3, expand_animations=False)
    assert (header.format, header.orientation) == (format, 1)
    assert (header.height, header.width) == tuple(decoded.shape[:2]) == (13, 29)
    assert header.pixels == 13 * 29


def test_top_down_bmp():
    content = bytearray(save(PIXELS, "BMP"))
    content[22:26] = struct.pack("<i", -13)
    assert tf.io.decode_image(bytes(content)).shape[:2] == (13, 29)
    assert (read_header(bytes(content)).height, read_header(bytes(content)).pixels) == (13, 377)


def test_all_frames_of_a_gif_count():
    frames = [Image.fromarray(np.roll(PIXELS, i, 0)) for i in range(5)]
    content = io.BytesIO()
    frames[0].save(content, "GIF", save_all=True, append_images=frames[1:], disposal=2)
    header = read_header(content.getvalue())
    decoded = tf.io.decode_image(content.getvalue())
    assert decoded.shape == (5, header.height, header.width, 3)
    assert header.pixels == 5 * 13 * 29


def test_nothing_is_decoded():
    header = read_header(png_header(30_000, 30_000))
    assert (header.height, header.width, header.pixels) == (30_000, 30_000, 900_000_000)


JPEG = save(PIXELS, "JPEG")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "JPEG, PNG, BMP, GIF, WebP, TIFF, HEIC or NumPy file. Received: 0 bytes"),
        (b"<html>not found</html>", "Received: 22 bytes that are none"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "whole WebP file"),
        (b"RIFF\0\0\0\0WAVEVP8 ", "that are none"),
        (b"II*\0\x08\0\0\0", "whole TIFF file"),
        (b"II*\0\x08\0\0\0\xff\xff" + bytes(99), "whole TIFF file"),
        (JPEG[:30], "whole JPEG file. Received: 30 bytes"),
        (JPEG[:3], "whole JPEG file. Received: 3 bytes"),
        (b"\xff\xd8\xff\xda\0\x08", "whole JPEG file"),
        (b"\xff\xd8" + b"\xff" * 9, "whole JPEG file"),
        (png_header(5, 5)[:20], "whole PNG file"),
        (png_header(0, 5), "whole PNG file"),
        (b"GIF89a", "whole GIF file"),
        (save(PIXELS, "GIF")[:13], "whole GIF file"),
        (b"BM" + b"\0" * 40, "whole BMP file"),
        (b"BM", "whole BMP file"),
        (JPEG + b"\xff\xda" * 501, "at most 500 scans"),
    ],
)
def test_damaged_headers(content, words):
    with pytest.raises(ValueError, match=words):
        read_header(content)


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(format, orientation):
    exif = Image.Exif()
    exif[0x010F] = "a maker"  # Another entry comes first.
    exif[0x0112] = orientation
    content = save(PIXELS, format, exif=exif)
    header = read_header(content)
    assert (header.orientation, header.height, header.width) == (orientation, 13, 29)
    with Image.open(io.BytesIO(content)) as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture))
        stored = np.asarray(picture)
    np.testing.assert_array_equal(upright(stored, orientation), expected)


@pytest.mark.parametrize("block", [b"", b"II*\0", b"XX*\0\x08\0\0\0", b"MM\0*\xff\xff\xff\xff"])
def test_damaged_exif_counts_for_none(block):
    segment = b"Exif\0\0" + block
    content = b"\xff\xd8\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + JPEG[2:]
    assert read_header(content).orientation == 1
    assert read_header(content).width == 29


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xd8" + b"\xff\xe2\0\x02" * 5_000_000, "at most 2048 segments"),
        (b"\xff\xd8" + b"\xff\0" * 10_000_000, "whole JPEG file"),
        (b"\xff\xd8" + b"\xff" * 20_000_000, "whole JPEG file"),
        (png_header(5, 5)[:33] + b"\0\0\0\0abcd____" * 2_000_000, "at most 2048 chunks"),
        (b"RIFF____WEBPVP8X\x0a\0\0\0\x08\0\0\0" + b"\0" * 20_000_000, None),
    ],
)
def test_tiny_parts_without_end_are_given_up_soon(content, words):
    """One request of such a file stalled a server for half a minute."""
    if words is None:
        assert read_header(content).orientation == 1
    else:
        with pytest.raises(ValueError, match=words):
            read_header(content)


def test_as_many_segments_as_exports_walk_over():
    comment = b"\xff\xfe\0\x02"
    assert read_header(JPEG[:2] + comment * 2000 + JPEG[2:]).width == 29
