"""Picture sizes from headers, against files of Pillow and headers written by hand."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers import TINY_SIZE, run_python
from PIL import Image

from keras_maskrcnn.export.headers import count_jpeg_pixels, count_pixels
from keras_maskrcnn.export.pictures import decode_batch
from keras_maskrcnn.export.refusals import Refusal, read_refusal

from .conftest import encode, make_picture

LIMIT = 10_000
_count = tf.function(count_pixels, input_signature=[tf.TensorSpec([], tf.string)])


def count(content: bytes) -> int:
    return int(_count(tf.constant(content)))


def count_jpeg(content: bytes) -> int:
    return int(count_jpeg_pixels(tf.constant(content)))


def png(width: int, height: int, body: bytes = b"") -> bytes:
    """One bit per pixel; `body` holds the compressed rows."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)), (b"IDAT", body)]
    content = b"\x89PNG\r\n\x1a\n"
    for name, data in [*chunks, (b"IEND", b"")]:
        content += struct.pack(">I", len(data)) + name + data
        content += struct.pack(">I", zlib.crc32(name + data))
    return content


def bmp(width: int, height: int) -> bytes:
    content = bytearray(encode(make_picture(20, 20, 0), "BMP"))
    content[18:26] = struct.pack("<ii", width, height)
    return bytes(content)


def jpeg(width: int, height: int) -> bytes:
    content = bytearray(encode(make_picture(20, 20, 0), "JPEG"))
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(content)


def gif(frames: list[tuple[int, int]], screen: tuple[int, int] = (9, 9)) -> bytes:
    """Frames without pixels, each after an extension and with a table of four colours."""
    content = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80 | 2, 0, 0) + bytes(3 * 8)
    for width, height in frames:
        content += b"\x21\xf9\x04" + bytes(4) + b"\x00"
        content += b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0x80 | 1) + bytes(3 * 4)
        content += b"\x02" + b"\x03abc" + b"\x01\x2c" + b"\x00"
    return content + b"\x3b"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "GIF"])
@pytest.mark.parametrize("size", [(33, 71), (300, 1), (1, 259)])
def test_files_of_pillow(format, size):
    picture = np.zeros((*size, 3), np.uint8)
    received = count_jpeg if format == "JPEG" else count
    assert received(encode(picture, format)) == size[0] * size[1]
    assert received(encode(picture[..., 0], format)) == size[0] * size[1]


def test_jpeg_with_a_thumbnail_and_progressive():
    """The size of the picture, not that of the other one in its head."""
    exif = b"Exif\0\0" + encode(make_picture(16, 16, 0), "JPEG")
    content = io.BytesIO()
    picture = Image.fromarray(make_picture(70, 50, 0))
    picture.save(content, "JPEG", exif=exif, progressive=True)
    assert content.getvalue().count(b"\xff\xd8") > 1
    assert count_jpeg(content.getvalue()) == 3500


def test_headers_by_hand():
    assert count(png(30_000, 30_000)) == 900_000_000
    assert count(png(0xFFFFFFFF, 0xFFFFFFFF)) == 1 << 62  # no overflow
    assert count(bmp(7, -11)) == 77
    assert count(bmp(70_000, 11)) == 770_000
    assert count_jpeg(jpeg(65_000, 40_000)) == 2_600_000_000


def test_gif_counts_its_frames_and_not_its_screen():
    assert count(gif([(20, 30)], screen=(9999, 9999))) == 600
    assert count(gif([(20, 30), (65_535, 2), (1, 1)])) == 3 * 65_535 * 30
    assert count(gif([])) == 0
    content = io.BytesIO()
    frames = [Image.fromarray(make_picture(40, 50, seed)) for seed in range(3)]
    frames[0].save(content, "GIF", save_all=True, append_images=frames[1:])
    assert count(content.getvalue()) == 6000


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xd8\xff", b"RIFF....WEBPVP8 ", b"II*\0", b"<html>"]
)
def test_other_files_have_no_size(content):
    assert count(content) == 0


@pytest.mark.parametrize("content", [png(3, 3)[:20], bmp(3, 3)[:22], gif([(3, 3)])[:50], b"GIF8"])
def test_headers_that_break_off(content):
    assert count(content) == 0


def test_gif_of_tiny_blocks_ends_soon():
    content = gif([(20, 30)])[:-1] + b"\x21\xfe" + b"\x01a" * 400_000 + b"\x00\x3b"
    # After so many blocks it is given up, else the size would be found.
    assert count(content) == 0
    assert count(gif([(20, 30)])[:-1] + b"\x21\xfe" + b"\x01a" * 1000 + b"\x00\x3b") == 600


@pytest.fixture(scope="module")
def decode():
    specs = [tf.TensorSpec([None], tf.string)]
    return tf.function(lambda x: decode_batch(x, TINY_SIZE, LIMIT), input_signature=specs)


@pytest.mark.parametrize(
    "content",
    [png(30_000, 30_000), jpeg(30_000, 30_000), bmp(30_000, 30_000), gif([(30_000, 30_000)])],
    ids=["png", "jpeg", "bmp", "gif"],
)
def test_huge_header_is_refused_with_its_position(decode, content):
    good = encode(make_picture(60, 50, 0), "PNG")
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        decode(tf.constant([good, good, content]))
    assert read_refusal(error.value.message) == Refusal(
        2, f"Too many pixels in the picture: expected at most {LIMIT}. Received: 900000000"
    )


def test_limit_is_the_last_size_taken(decode):
    assert decode(tf.constant([encode(make_picture(100, 100, 0), "PNG")]))["images"].shape[0] == 1
    with pytest.raises(tf.errors.InvalidArgumentError, match="Received: 10100"):
        decode(tf.constant([encode(make_picture(101, 100, 0), "PNG")]))


def test_format_that_only_the_decoder_knows_is_refused(decode):
    content = encode(make_picture(20, 20, 0), "WEBP")
    with pytest.raises(tf.errors.InvalidArgumentError, match="Cannot decode the picture"):
        decode(tf.constant([content]))


SPENDING = """
import sys
from pathlib import Path
import tensorflow as tf
from helpers import TINY_SIZE, run_python
from keras_maskrcnn.export.pictures import decode_batch

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024

small, large = (Path(name).read_bytes() for name in sys.argv[1:])
input_size = TINY_SIZE
decode_batch(tf.constant([small]), input_size, 10_000)  # what the first use takes
for limit in (10_000, 36_000_000):
    before = peak()
    try:
        decode_batch(tf.constant([large]), input_size, limit)
        decoded = True
    except tf.errors.InvalidArgumentError:
        decoded = False
    print("spent", int(decoded), peak() - before)
"""


def test_no_memory_is_spent_on_what_is_refused(tmp_path):
    """A whole picture that would decode: a few kilobytes for 108 megabytes."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs Linux' account of memory")
    side = 6000
    content = png(side, side, zlib.compress(bytes(side // 8 + 1) * side))
    assert len(content) < side
    (tmp_path / "large.png").write_bytes(content)
    (tmp_path / "small.png").write_bytes(encode(make_picture(20, 20, 0), "PNG"))
    output = run_python(SPENDING, tmp_path / "small.png", tmp_path / "large.png")
    lines = [line.split() for line in output.splitlines() if line.startswith("spent")]
    (refused, little), (decoded, much) = ((int(line[1]), int(line[2])) for line in lines)
    assert not refused and little < 20e6
    assert decoded and much > 2 * side * side
