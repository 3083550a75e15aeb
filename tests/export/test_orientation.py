"""EXIF's orientation in the graph, against the reader of headers, Pillow and files by hand."""

import io
import random
import struct

import numpy as np
import pytest
import tensorflow as tf
from fuzz.mutations import mutate_bytes
from helpers import TINY_SIZE
from PIL import Image, ImageOps

from keras_maskrcnn.data.headers import read_header
from keras_maskrcnn.export.orientation import read_orientation, upright
from keras_maskrcnn.export.pictures import decode_batch
from keras_maskrcnn.export.refusals import Refusal, read_refusal

from .conftest import encode, encode_turned, make_picture

ORIENTATIONS = range(1, 9)
PICTURE = make_picture(20, 30, 0)
_read = tf.function(read_orientation, input_signature=[tf.TensorSpec([], tf.string)])


def read(content: bytes) -> int:
    return int(_read(tf.constant(content)))


def tiff(*fields, order=">", count=None, offset=8):
    """A TIFF block; fields are tag, type and value."""
    block = {">": b"MM", "<": b"II"}[order] + struct.pack(f"{order}HI", 42, offset)
    block += bytes(offset - 8) + struct.pack(f"{order}H", len(fields) if count is None else count)
    for tag, kind, value in fields:
        block += struct.pack(f"{order}HHIHH", tag, kind, 1, value, 0)
    return block


TURN = (0x0112, 3, 6)
MAKER = (0x010F, 2, 6)


def segment(kind, data, length=None):
    return struct.pack(">BBH", 0xFF, kind, len(data) + 2 if length is None else length) + data


def exif(block, length=None):
    return segment(0xE1, b"Exif\0\0" + block, length)


PLAIN = encode(PICTURE, "JPEG")
TURNED = exif(tiff(TURN))


def jpeg(*parts):
    """A whole file, with these parts after its first mark."""
    return PLAIN[:2] + b"".join(parts) + PLAIN[2:]


def chunk(name, data, length=None):
    return struct.pack(">I", len(data) if length is None else length) + name + data + b"\1\2\3\4"


def png(*parts, before=33):
    """A whole file, with these parts after its header, or elsewhere."""
    content = encode(PICTURE, "PNG")
    return content[:before] + b"".join(parts) + content[before:]


BY_HAND = {
    "no EXIF": (PLAIN, 1),
    "an EXIF segment": (jpeg(TURNED), 6),
    "lowest byte first": (jpeg(exif(tiff(MAKER, (0x0112, 3, 8), order="<"))), 8),
    "lowest byte first, value 2048": (jpeg(exif(tiff((0x0112, 3, 2048), order="<"))), 1),
    "values 0 and 9": (jpeg(exif(tiff((0x0112, 3, 0))), exif(tiff((0x0112, 3, 9)))), 1),
    "of another type": (jpeg(exif(tiff((0x0112, 4, 6)))), 1),
    "the first field counts": (jpeg(exif(tiff((0x0112, 4, 2), (0x0112, 3, 3), TURN))), 3),
    "an invalid field comes first": (jpeg(exif(tiff((0x0112, 3, 9), TURN))), 1),
    "the last segment counts": (jpeg(TURNED, exif(tiff((0x0112, 3, 5)))), 5),
    "a damaged segment after it": (jpeg(TURNED, exif(b"MM")), 1),
    "another APP1 after it": (jpeg(TURNED, segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0")), 6),
    "more fields announced than there are": (jpeg(exif(tiff(MAKER, TURN, count=65535))), 6),
    "fewer fields announced": (jpeg(exif(tiff(MAKER, TURN, count=1))), 1),
    "no fields announced": (jpeg(exif(tiff(TURN, count=0))), 1),
    "a directory farther off": (jpeg(exif(tiff(TURN, offset=2001))), 6),
    "a directory that begins in the first bytes": (jpeg(exif(b"MM\0*\0\0\0\4")), 1),
    "a directory beyond the block": (jpeg(exif(tiff(TURN)[:4] + b"\xff" * 4)), 1),
    "a field up to its value": (jpeg(exif(tiff(TURN)[:-2])), 6),
    "a field without its value": (jpeg(exif(tiff(TURN)[:-3])), 1),
    "a block that ends in its offset": (jpeg(exif(tiff(TURN)[:6])), 1),
    "no block": (jpeg(exif(b"")), 1),
    "no order": (jpeg(exif(b"MI" + tiff(TURN)[2:])), 1),
    "fill bytes": (jpeg(b"\xff" * 50_000, TURNED, b"\xff" * 50_000), 6),
    "a mark that ends a window": (jpeg(b"\xff" * ((1 << 14) - 2), TURNED), 6),
    "a mark on both sides of a window's end": (jpeg(b"\xff" * ((1 << 14) - 1), TURNED), 6),
    "what is no segment": (jpeg(segment(0xFE, b"x"), b"\0\xff\0\xff\1\xff\xd3" * 9000, TURNED), 6),
    "marks in a comment": (jpeg(segment(0xFE, TURNED + b"\xff\xda\xff\xc0")), 1),
    "a mark that stands alone": (jpeg(b"\xff\xd0", TURNED), 6),
    "a length that ends in the block": (jpeg(exif(tiff(TURN), 2 + 6 + 19)), 1),
    "a length up to the value": (jpeg(exif(tiff(TURN), 2 + 6 + 20)), 6),
    "a length of 0": (jpeg(exif(tiff(TURN), 0)), 1),
    "a length of 7": (jpeg(exif(tiff(TURN), 7)), 1),
    "after the frame": (PLAIN.replace(b"\xff\xc4", TURNED + b"\xff\xc4", 1), 1),
    "a chunk": (png(chunk(b"eXIf", tiff(TURN))), 6),
    "a chunk after another": (png(chunk(b"tEXt", b"a\0b"), chunk(b"eXIf", tiff(TURN))), 6),
    "a chunk, lowest byte first": (png(chunk(b"eXIf", tiff(TURN, order="<"))), 6),
    "two chunks": (png(chunk(b"eXIf", tiff(TURN)), chunk(b"eXIf", tiff((0x0112, 3, 7)))), 7),
    "a chunk that is longer than the file": (png(chunk(b"eXIf", tiff(TURN), 0xFFFFFFFF)), 6),
    "a chunk of no bytes": (png(chunk(b"eXIf", b"")), 1),
    "a chunk as JPEG has it": (png(chunk(b"eXIf", b"Exif\0\0" + tiff(TURN))), 1),
    "a chunk after the pixels": (png(chunk(b"eXIf", tiff(TURN)), before=-12), 1),
    "a chunk before the header": (png(chunk(b"eXIf", tiff(TURN)), before=8), None),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_files_by_hand(name):
    content, expected = BY_HAND[name]
    if expected is None:
        with pytest.raises(ValueError, match="whole PNG file"):
            read_header(content)
        assert read(content) in ORIENTATIONS
    else:
        assert (read(content), read_header(content).orientation) == (expected, expected)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", jpeg(TURNED)[:40], TURNED, b"\xff\xd8" * 9],
)
def test_what_is_no_whole_file_fails_nothing(content):
    assert read(content) in ORIENTATIONS


@pytest.mark.parametrize("format", ["BMP", "GIF"])
def test_formats_without_exif(format):
    assert read(encode(PICTURE, format)) == 1


@pytest.mark.parametrize("seed", range(4))
def test_mutations_are_read_as_the_headers_reader_does(seed):
    """A file that the reader refuses is refused before its orientation matters."""
    rng, turned = random.Random(f"orientation {seed}"), 0
    for _ in range(150):
        content = encode_turned(PICTURE, rng.choice(("JPEG", "PNG")), rng.randint(2, 8))
        # Up to the pixels; changes to these alone would test nothing.
        end = max(content.find(b"\xff\xdb"), content.find(b"IDAT"))
        for _ in range(rng.randint(1, 3)):
            head, what = mutate_bytes(rng, content[:end])
            content, end = head + content[end:], max(len(head), 1)
        received = read(content)
        try:
            expected = read_header(content).orientation
        except ValueError:
            assert received in ORIENTATIONS, what
        else:
            assert received == expected, (what, content)
            turned += expected != 1
    assert turned > 20


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("size", [(4, 7), (1, 5), (1, 1)])
def test_turned_as_pillow_does(orientation, size):
    stored = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    image = Image.fromarray(stored)
    image.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(image))
    received = tf.function(upright)(tf.constant(stored), tf.constant(orientation))
    np.testing.assert_array_equal(received, expected)


@pytest.fixture(scope="module")
def decode():
    specs = [tf.TensorSpec([None], tf.string)]
    return tf.function(lambda x: decode_batch(x, TINY_SIZE, 10_000), input_signature=specs)


def test_one_batch_of_all_orientations(decode):
    picture = make_picture(41, 57, 1)
    contents = [encode_turned(picture, "PNG", orientation) for orientation in ORIENTATIONS]
    with Image.open(io.BytesIO(contents[5])) as stored:
        assert stored.size == (41, 57)  # width and height
    batch = decode(tf.constant(contents))
    np.testing.assert_array_equal(batch["original_sizes"], [[41, 57]] * 8)
    np.testing.assert_array_equal(batch["image_sizes"], [[64, 88]] * 8)
    expected = decode(tf.constant([encode(picture, "PNG")]))["images"].numpy()
    np.testing.assert_array_equal(batch["images"], np.repeat(expected, 8, axis=0))


@pytest.mark.parametrize(
    "make",
    [
        lambda n: jpeg(segment(0xFE, b"") * n, TURNED),
        lambda n: png(chunk(b"tEXt", b"") * n, chunk(b"eXIf", tiff(TURN))),
    ],
)
def test_more_segments_than_a_picture_has_are_refused(decode, make):
    """A walk over millions of them would keep a server busy for minutes."""
    assert read(make(2000)) == 6
    content = make(500_000)
    assert read(content) == 0
    good = encode(PICTURE, "PNG")
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        decode(tf.constant([good, content]))
    assert read_refusal(error.value.message) == Refusal(
        1,
        "Cannot decode the picture: expected a whole JPEG, PNG, BMP or GIF file. "
        f"Received: {len(content)} bytes",
    )
