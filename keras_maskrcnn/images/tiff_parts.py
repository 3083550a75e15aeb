"""A part of a TIFF file, in its own size or smaller, without decoding the rest."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_maskrcnn.images.tiff import are_channels

# Colours that need no translation, and bits of values that fill their type.
_PLAIN = ("MINISBLACK", "RGB")
_WHOLE_BITS = (8, 16, 32, 64)
# Which way up a picture is stored: the tag, and upright.
_ORIENTATION, _UPRIGHT = 274, 1
# Planes of channels one after the other, within a page.
_SEPARATE = 2
# Old and new JPEG, whose decoder gives RGB of what is stored as luma and colour.
_JPEG = (6, 7)
# Whole-slide pictures of Aperio have these kinds of JPEG 2000, of luma and colour and of RGB.
_JPEG_2000 = (33003, 33004, 33005)

Window = tuple[int, int, int, int]


class TiffParts:
    """The first picture of a TIFF file whose pixels lie in tiles or strips.

    A pyramid is read at each of its levels: of OME-TIFF, overviews of GeoTIFF (COG), and whole
    slides of Aperio (.svs).

    Args:
        path: path of the file, which stays open until `close`.
        channels: that are wanted: a file of as many pages has a channel on each, as in
            `images.tiff`.

    Attributes:
        levels: the picture, and then what the file has of it at a half, a third or another whole
            part of its size, each smaller than the one before.

    Raises:
        ValueError: where its pixels are not grey, RGB or channels as they are stored, they lie
            turned or mirrored, their compression needs a package that is not installed, or it is no
            TIFF file.
    """

    def __init__(self, path: str | os.PathLike[str], channels: int = 3) -> None:
        # Needed for this format alone.
        from tifffile import TiffFile

        name, problem = os.fspath(path), ""
        self.levels: list[TiffLevel] = []
        with contextlib.ExitStack() as opened:
            try:
                self._file = opened.enter_context(TiffFile(name))
                pages = _pages_of_levels(self._file, channels)
                problem = next(filter(None, (_problem(own[0]) for own in pages)), "")
                if not problem:
                    self._add_levels(pages)
            except MemoryError:
                raise
            except Exception as error:  # Of many kinds, one for each way to be broken.
                raise ValueError(f"Cannot read the TIFF file {name}: {error}") from error
            if problem:
                raise ValueError(
                    "expected an upright TIFF file of grey, RGB or channels, whose parts can be "
                    f"decoded. Received: {name} {problem}"
                )
            opened.pop_all()

    def _add_levels(self, pages: Sequence[Sequence[Any]]) -> None:
        for own in pages:
            level = TiffLevel(own, self._file.filehandle, self.shape if self.levels else None)
            if not self.levels or level.part > self.levels[-1].part:
                self.levels.append(level)

    @property
    def channels(self) -> int:
        """How many values a pixel has."""
        return self.levels[0].channels

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.levels[0].shape

    def read(self, window: Window) -> np.ndarray:
        """The values in a window of the picture in its own size; see `TiffLevel.read`."""
        return self.levels[0].read(window)

    def close(self) -> None:
        """Closes the file."""
        for level in self.levels:
            level.close()
        self._file.close()


class TiffLevel:
    """The picture in one size.

    Args:
        pages: one page, or one of each channel.
        file: `tifffile`'s handle of the file.
        whole: height and width of the picture in its own size; `None`: this is it.

    Attributes:
        shape: height and width.
        channels: how many values a pixel has.
        part: each pixel stands for so many, along each side, of the picture in its own size; 0
            where that is no whole number.
    """

    def __init__(self, pages: Sequence[Any], file: Any, whole: tuple[int, int] | None) -> None:
        self._pages, self._file = pages, file
        page = pages[0]
        self.shape = (int(page.imagelength), int(page.imagewidth))
        self.part = 1 if whole is None else _part(whole, self.shape)
        if page.is_tiled:
            self._cell = (int(page.tilelength), int(page.tilewidth))
        else:
            self._cell = (int(page.rowsperstrip), self.shape[1])
        if min(*self.shape, *self._cell) < 1:
            raise ValueError(
                f"expected pixels in tiles or strips. Received: {self.shape} in {self._cell}"
            )
        self.channels = len(pages) * int(page.samplesperpixel)
        self._mapped = [_mapped(page) for page in pages]

    def close(self) -> None:
        """Lets go of what is mapped from the file."""
        self._mapped = []

    def read(self, window: Window) -> np.ndarray:
        """The values in a window `(x1, y1, x2, y2)` of the picture in this size, as stored.

        Returns:
            `[h, w]` or `[h, w, c]`.

        Raises:
            ValueError: when that part is damaged.
        """
        samples = int(self._pages[0].samplesperpixel)
        try:
            if self._pages[0].planarconfig == _SEPARATE:
                planes = [self._read(0, plane, 1, window) for plane in range(samples)]
            else:
                planes = [self._read(page, 0, samples, window) for page in range(len(self._pages))]
        except MemoryError:
            raise
        except Exception as error:  # Of many kinds, one for each compression.
            raise ValueError(f"Cannot decode {window} of {self._file.path}: {error}") from error
        part = np.concatenate(planes, axis=-1) if len(planes) > 1 else planes[0]
        return part[..., 0] if part.shape[-1] == 1 else part

    def _read(self, number: int, plane: int, samples: int, window: Window) -> np.ndarray:
        """`[h, w, samples]` of a page, or of a plane of it."""
        x1, y1, x2, y2 = window
        mapped, page = self._mapped[number], self._pages[number]
        if mapped is not None:
            return np.array(mapped[y1:y2, x1:x2]).reshape(y2 - y1, x2 - x1, samples)
        part = np.zeros((y2 - y1, x2 - x1, samples), page.dtype)
        rows, columns = self._cell
        down, across = -(-self.shape[0] // rows), -(-self.shape[1] // columns)
        for row in range(y1 // rows, -(-y2 // rows)):
            for column in range(x1 // columns, -(-x2 // columns)):
                cell = self._decoded(page, (plane * down + row) * across + column)
                if cell is None:  # Left out of the file: nothing but zeros.
                    continue
                top, left = row * rows, column * columns
                here = np.s_[
                    max(top - y1, 0) : max(top + cell.shape[0] - y1, 0),
                    max(left - x1, 0) : max(left + cell.shape[1] - x1, 0),
                ]
                wanted = part[here]
                y, x = max(y1 - top, 0), max(x1 - left, 0)
                wanted[:] = cell[y : y + wanted.shape[0], x : x + wanted.shape[1]]
        return part

    def _decoded(self, page: Any, index: int) -> np.ndarray | None:
        """One tile or strip `[h, w, c]`."""
        self._file.seek(page.dataoffsets[index])
        content = self._file.read(page.databytecounts[index])
        cell = page.decode(content or None, index, jpegtables=page.jpegtables)[0]
        return None if cell is None else cell[0]


def _pages_of_levels(file: Any, channels: int) -> list[list[Any]]:
    """Of each level of the first picture its page, or its page of each channel."""
    first = file.series[0]
    count = first.shape[0] if len(first.shape) == 3 and len(first.pages) == first.shape[0] else 1
    if count != channels or not are_channels(count, channels, first.axes):
        count = 1
    levels = [[page and page.aspage() for page in level.pages[:count]] for level in first.levels]
    # Of a picture in several files, of which one is missing.
    if any(page is None for level in levels for page in level):
        raise ValueError(f"expected all pages of {file.filename} in one file")
    return levels


def _mapped(page: Any) -> Any:
    """A page in memory as it is in the file; many programs write all of it as one strip."""
    with contextlib.suppress(ValueError, OSError):  # Cut off: told where the part is read.
        if page.is_memmappable and page.planarconfig != _SEPARATE:
            return page.asarray(out="memmap")
    return None


def _problem(page: Any) -> str:
    """Why parts of a page cannot be read; empty where they can."""
    from tifffile import TIFF

    colours = page.photometric.name
    is_plain = colours in _PLAIN
    if colours == "YCBCR":  # Decoders of these give RGB.
        is_plain = page.compression in (*_JPEG, *_JPEG_2000)
    orientation = page.tags.valueof(_ORIENTATION, default=_UPRIGHT)
    if (
        not is_plain
        or page.imagedepth != 1
        or page.bitspersample not in _WHOLE_BITS
        or orientation != _UPRIGHT
    ):
        return f"of {colours}, {page.bitspersample} bits, orientation {orientation}"
    if page.compression not in TIFF.DECOMPRESSORS:
        return (
            f"compressed by {page.compression.name}, which takes the package imagecodecs: "
            "pip install maskrcnn-keras[tiff]"
        )
    return ""


def _part(whole: tuple[int, int], shape: tuple[int, int]) -> int:
    part = round(whole[1] / shape[1])
    # Writers round the size of a level up or down.
    fits = all(abs(side - full / part) < 1 for side, full in zip(shape, whole, strict=True))
    return part if fits else 0
