"""Broken picture files of every format that needs no further package."""

from __future__ import annotations

import functools
import io
import random
import struct
import warnings
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tifffile
from PIL import Image, ImageOps

from fuzz.fuzzer import Fuzzer
from fuzz.mutations import mutate_bytes, truncate
from fuzz.verdicts import (
    ACCEPTED,
    REFUSED,
    SilentError,
    UnclearError,
    check_refusal,
)
from keras_maskrcnn.images.orientation import upright

_HEIGHT, _WIDTH = 37, 53
_PNG_MARK = b"\x89PNG\r\n\x1a\n"


class Case(NamedTuple):
    """A picture file.

    Args:
        kind: of `_WRITERS`.
        whole: the file before anything was done to it.
        content: the file.
    """

    kind: str
    whole: bytes
    content: bytes


class PictureFuzzer(Fuzzer):
    """Picture files."""

    def make(self, number: int) -> tuple[Case, str]:
        return make(random.Random(f"pictures {number}"))

    def judge(self, number: int, case: Case) -> str:
        from keras_maskrcnn.data.reading import read_image

        file = self.folder / f"case{number}.{case.kind.partition(' ')[0]}"
        file.write_bytes(case.content)
        try:
            image = read_image(file)
        except Exception as error:
            check_refusal(error, file.name)
            if case.content == case.whole and case.kind != _BOMB:
                raise UnclearError(f"a whole file is refused: {error}") from error
            return REFUSED
        _check_pixels(image, case)
        return ACCEPTED


@functools.cache
def whole_file(kind: str) -> bytes:
    """A file with nothing wrong, of a kind such as `"png"`."""
    return _WRITERS[kind](_pixels())


def make(rng: random.Random) -> tuple[Case, str]:
    """A picture file and what was done to it."""
    kind = rng.choice(list(_WRITERS))
    whole = whole_file(kind)
    way = rng.random()
    if way < 0.05:
        return Case(kind, whole, whole), f"{kind}: nothing"
    if way < 0.08:
        bomb = _bomb()
        return Case(_BOMB, bomb, bomb), _BOMB
    if way < 0.3:
        cut = truncate(rng, whole)
        return Case(kind, whole, cut), f"{kind}: cut after {len(cut)} of {len(whole)} bytes"
    if way < 0.65:
        size = tuple(
            rng.choice((0, 1, _HEIGHT, _WIDTH, 54, 1000, 30_000, 65_535, 2**31 - 1, 2**32 - 1))
            for _ in range(2)
        )
        content = _SIZES[kind.partition(" ")[0]](whole, *size)
        return Case(kind, whole, content), f"{kind}: size {size} in its header"
    if way < 0.75 and kind.startswith("png"):
        content, what = _mutate_chunks(rng, whole)
    else:
        content, what = mutate_bytes(rng, whole)
    return Case(kind, whole, content), f"{kind}: {what}"


# Bytes of pixels that are compared.
_LARGEST = 1 << 28
_BOMB = "png of 13000 x 13000 pixels in some kilobytes"


@functools.cache
def _bomb() -> bytes:
    side = 13_000
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return _PNG_MARK + b"".join(
        _chunk(kind, body)
        for kind, body in (
            (b"IHDR", header),
            (b"IDAT", zlib.compress(bytes(side // 8 + 1) * side)),
            (b"IEND", b""),
        )
    )


def _pixels() -> np.ndarray:
    y, x = np.mgrid[:_HEIGHT, :_WIDTH]
    return np.stack([4 * x, 6 * y, (x * y) % 256], -1).astype(np.uint8)


def _writer(format: str, mode: str = "RGB", **options: object) -> Callable[[np.ndarray], bytes]:
    def write(pixels: np.ndarray) -> bytes:
        content = io.BytesIO()
        Image.fromarray(pixels).convert(mode).save(content, format, **options)
        return content.getvalue()

    return write


def _animation(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    frames = [Image.fromarray(np.roll(pixels, 5 * i, 1)) for i in range(4)]
    frames[0].save(content, "GIF", save_all=True, append_images=frames[1:])
    return content.getvalue()


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _array(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, pixels)
    return content.getvalue()


def _planes(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    tifffile.imwrite(
        content, np.moveaxis(pixels, -1, 0), photometric="rgb", planarconfig="separate"
    )
    return content.getvalue()


_WRITERS: dict[str, Callable[[np.ndarray], bytes]] = {
    "jpg": _writer("JPEG", quality=95),
    "jpg progressive": _writer("JPEG", progressive=True),
    "jpg exif": _writer("JPEG", exif=_exif()),
    "jpg grey": _writer("JPEG", "L"),
    "png": _writer("PNG"),
    "png palette": _writer("PNG", "P"),
    "png alpha": _writer("PNG", "RGBA"),
    "png bits": _writer("PNG", "1"),
    "gif": _writer("GIF"),
    "gif animation": _animation,
    "bmp": _writer("BMP"),
    "bmp grey": _writer("BMP", "L"),
    "webp": _writer("WEBP", lossless=True),
    "tif": _writer("TIFF"),
    "tif grey": _writer("TIFF", "L", compression="tiff_adobe_deflate"),
    "tif planes": _planes,
    "npy": _array,
}


def _size_webp(content: bytes, height: int, width: int) -> bytes:
    (sides,) = struct.unpack_from("<I", content, 21)
    sides = sides >> 28 << 28 | (height - 1) % 16384 << 14 | (width - 1) % 16384
    return content[:21] + struct.pack("<I", sides) + content[25:]


def _size_tif(content: bytes, height: int, width: int) -> bytes:
    changed = bytearray(content)
    (at,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, at)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from("<HH", content, entry)
        value = {256: width, 257: height}.get(tag)
        if value is not None:
            form, limit = ("<H", 1 << 16) if kind == 3 else ("<I", 1 << 32)
            struct.pack_into(form, changed, entry + 8, value % limit)
    return bytes(changed)


def _size_jpg(content: bytes, height: int, width: int) -> bytes:
    at = max(content.find(b"\xff\xc0"), content.find(b"\xff\xc2"))
    return content[: at + 5] + struct.pack(">HH", height % 65536, width % 65536) + content[at + 9 :]


def _size_png(content: bytes, height: int, width: int) -> bytes:
    header = struct.pack(">II", width, height) + content[24:29]
    return content[:8] + _chunk(b"IHDR", header) + content[33:]


def _size_gif(content: bytes, height: int, width: int) -> bytes:
    """Of the screen and of the first frame."""
    size = struct.pack("<HH", width % 65536, height % 65536)
    table = 3 << ((content[10] & 7) + 1) if content[10] & 0x80 else 0
    at = content.find(b"\x2c\0\0\0\0", 13 + table) + 5
    return content[:6] + size + content[10:at] + size + content[at + 4 :]


def _size_bmp(content: bytes, height: int, width: int) -> bytes:
    return content[:18] + struct.pack("<II", width, height) + content[26:]


def _size_npy(content: bytes, height: int, width: int) -> bytes:
    """In as many bytes as before."""
    old = b"(%d, %d, 3)" % (_HEIGHT, _WIDTH)
    text = content[:128].replace(old, b"(%d, %d, 3)" % (height, width))
    ending = text.rstrip(b" \n")[:127]
    return ending.ljust(127) + b"\n" + content[128:]


_SIZES = {
    "jpg": _size_jpg,
    "png": _size_png,
    "gif": _size_gif,
    "bmp": _size_bmp,
    "webp": _size_webp,
    "tif": _size_tif,
    "npy": _size_npy,
}


def _chunk(kind: bytes, body: bytes) -> bytes:
    """Of a PNG file."""
    check = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + check


def _mutate_chunks(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    """Chunks of a PNG file left out, repeated, exchanged or changed, with checksums that hold."""
    chunks, at = [], 8
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at)
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    i, j = rng.randrange(len(chunks)), rng.randrange(len(chunks))
    action = rng.choice(("delete", "double", "exchange", "change", "rename"))
    if action == "delete":
        del chunks[i]
    elif action == "double":
        chunks.insert(j, chunks[i])
    elif action == "exchange":
        chunks[i], chunks[j] = chunks[j], chunks[i]
    elif action == "change":
        chunks[i] = chunks[i][0], mutate_bytes(rng, chunks[i][1] or b"\0")[0]
    else:
        chunks[i] = rng.choice((b"IDAT", b"PLTE", b"tRNS", b"XXXX", b"acTL")), chunks[i][1]
    return _PNG_MARK + b"".join(_chunk(*chunk) for chunk in chunks), f"{action} chunk {i}"


def _check_pixels(image: np.ndarray, case: Case) -> None:
    """What was accepted is as large as the file says, and whole."""
    kind, whole, content = case
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise SilentError(f"accepted as {image.dtype} {image.shape}")
    if image.nbytes > _LARGEST:
        return  # It is told by the memory that it took.
    if content == whole:
        reference = _pixels()
        if kind not in ("npy", "tif planes"):  # Pillow knows neither.
            reference = np.asarray(ImageOps.exif_transpose(_opened(whole)).convert("RGB"))
        worst = np.abs(reference.astype(int) - image).max()
        if reference.shape != image.shape or worst > (4 if kind.startswith("jpg") else 0):
            raise SilentError(f"a whole file differs by {worst}")
        return
    if whole.startswith(content):
        # What was cut off held none of the pixels, such as the mark of the end.
        if not np.array_equal(image, _decoded(whole)):
            raise SilentError("accepted a file that is cut off")
        return
    if kind.startswith("gif"):  # Its frames have sizes of their own.
        return
    try:
        picture = _opened(content)
        stated = picture.size[::-1]
        if picture.getexif().get(0x0112) in (5, 6, 7, 8):
            stated = picture.size
    except Exception:  # Pillow refuses it, which need not be a mistake of TensorFlow's.
        return
    if image.shape[:2] != stated:
        raise SilentError(f"the header says {stated}, accepted as {image.shape[:2]}")


def _opened(content: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sizes that Pillow finds suspicious
        return Image.open(io.BytesIO(content))


def _decoded(content: bytes) -> np.ndarray:
    import tensorflow as tf

    if content.startswith(b"\x93NUMPY") or content == _planes(_pixels()):
        return _pixels()
    if content.startswith((b"RIFF", b"II")):
        image = np.asarray(_opened(content).convert("RGB"))
    elif content.startswith(b"\xff\xd8\xff"):
        image = tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE").numpy()
    else:
        image = tf.io.decode_image(content, channels=3, expand_animations=False).numpy()
    return upright(image, _opened(content).getexif().get(0x0112, 1))


FUZZER = PictureFuzzer
