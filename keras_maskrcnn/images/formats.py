"""The picture formats, listed once: what the reader, folders, the server and messages go by."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PictureFormat:
    """A kind of picture file.

    Args:
        name: what it is called.
        suffixes: of its files, in lower case.
        media_type: as HTTP names it.
        starts: bytes that its files may begin with.
        in_exports: whether exported models decode it, by stock TensorFlow operations; else it is
            decoded before.
        in_browsers: whether browsers show it.
        package: that pip must install for it; empty where the package's own requirements do.
    """

    name: str
    suffixes: tuple[str, ...]
    media_type: str
    starts: tuple[bytes, ...]
    in_exports: bool = False
    in_browsers: bool = False
    package: str = ""


# The last two: whether exported models decode it, and browsers show it.
_FORMATS = (
    PictureFormat("JPEG", (".jpg", ".jpeg"), "image/jpeg", (b"\xff\xd8\xff",), True, True),
    PictureFormat("PNG", (".png",), "image/png", (b"\x89PNG\r\n\x1a\n",), True, True),
    PictureFormat("BMP", (".bmp",), "image/bmp", (b"BM",), True, True),
    PictureFormat("GIF", (".gif",), "image/gif", (b"GIF8",), True, True),
    PictureFormat("WebP", (".webp",), "image/webp", (b"RIFF",), False, True),
    # The last two: large OME-TIFF, and whole slides of Aperio.
    PictureFormat(
        "TIFF",
        (".tif", ".tiff", ".btf", ".svs"),
        "image/tiff",
        (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    ),
    PictureFormat("HEIC", (".heic", ".heif"), "image/heic", (), package="maskrcnn-keras[heic]"),
    PictureFormat("NumPy", (".npy",), "application/x-npy", (b"\x93NUMPY",)),
)
# Of ISO base media files: the brand after the length and type of the first box.
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1")


def picture_formats(*, in_exports: bool = False) -> tuple[PictureFormat, ...]:
    """The formats that are read.

    Args:
        in_exports: only those that exported models decode.
    """
    return tuple(f for f in _FORMATS if f.in_exports or not in_exports)


def named_format(name: str) -> PictureFormat:
    """The format of a name, such as `"TIFF"`."""
    return next(format for format in _FORMATS if format.name == name)


def named(formats: Sequence[PictureFormat], last: str = "or") -> str:
    """Their names for a sentence, such as `JPEG, PNG or GIF`."""
    names = [format.name for format in formats]
    return f"{', '.join(names[:-1])} {last} {names[-1]}" if len(names) > 1 else names[0]


def format_of(content: bytes) -> PictureFormat | None:
    """The format of a file, by how it begins; None where it is no picture that is read."""
    for format in _FORMATS:
        if content.startswith(format.starts):
            if format.name == "WebP" and content[8:12] != b"WEBP":
                continue
            return format
    if content[4:8] == b"ftyp" and content[8:12] in _HEIC_BRANDS:
        return named_format("HEIC")
    return None


def is_picture_name(path: str | os.PathLike[str]) -> bool:
    """Whether a path ends as a picture's, in any case."""
    return os.path.splitext(os.fspath(path))[1].lower() in _SUFFIXES


_SUFFIXES = frozenset(suffix for format in _FORMATS for suffix in format.suffixes)
