"""A part of a TIFF file, without decoding the rest."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import numpy as np

# Colours that need no translation, and bits of values that fill their type.
_PLAIN = ("MINISBLACK", "RGB")
_WHOLE_BITS = (8, 16, 32, 64)
# Which way up a picture is stored: the tag, and upright.
_ORIENTATION, _UPRIGHT = 274, 1


class TiffParts:
    """The first page of a TIFF file whose pixels lie in tiles or strips.

    Args:
        path: path of the file, which stays open until `close`.

    Raises:
        ValueError: where its pixels are not grey, RGB or channels side by side as they are stored,
            they lie turned or mirrored, they need a package to be decompressed that is not there,
            or it is no TIFF file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        # Needed for this format alone.
        from tifffile import TiffFile, TiffFileError

        try:
            self._file = TiffFile(os.fspath(path))
            page: Any = self._file.pages[0].aspage()
        except (TiffFileError, IndexError, OSError) as error:
            raise ValueError(f"Cannot read the TIFF file {os.fspath(path)}: {error}") from error
        problem = _problem(page)
        if problem:
            self.close()
            raise ValueError(
                f"expected an upright TIFF file of grey, RGB or channels side by side, whose parts "
                f"can be decoded. Received: {os.fspath(path)} {problem}"
            )
        self._page = page
        self.shape = (int(page.imagelength), int(page.imagewidth))
        if page.is_tiled:
            self._cell = (int(page.tilelength), int(page.tilewidth))
        else:
            self._cell = (int(page.rowsperstrip), self.shape[1])
        # Many programs write all of a picture without compression as one strip.
        self._mapped: Any = None
        with contextlib.suppress(ValueError, OSError):  # Cut off: told where the part is read.
            if page.is_memmappable:
                self._mapped = page.asarray(out="memmap")

    @property
    def channels(self) -> int:
        """How many values a pixel has."""
        return int(self._page.samplesperpixel)

    def close(self) -> None:
        """Closes the file."""
        self._mapped = None
        self._file.close()

    def read(self, window: tuple[int, int, int, int]) -> np.ndarray:
        """The values in a window `(x1, y1, x2, y2)` of the picture, as they are stored.

        Returns:
            `[h, w]` or `[h, w, c]`.

        Raises:
            ValueError: when that part is damaged.
        """
        x1, y1, x2, y2 = window
        if self._mapped is not None:
            return np.array(self._mapped[y1:y2, x1:x2])
        samples = self.channels
        part = np.zeros((y2 - y1, x2 - x1, samples), self._page.dtype)
        rows, columns = self._cell
        across = -(-self.shape[1] // columns)
        for row in range(y1 // rows, -(-y2 // rows)):
            for column in range(x1 // columns, -(-x2 // columns)):
                cell = self._decoded(row * across + column)
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
        return part[..., 0] if samples == 1 else part

    def _decoded(self, index: int) -> np.ndarray | None:
        """One tile or strip `[h, w, c]`."""
        page = self._page
        file = self._file.filehandle
        file.seek(page.dataoffsets[index])
        content = file.read(page.databytecounts[index])
        try:
            cell = page.decode(content or None, index, jpegtables=page.jpegtables)[0]
        except Exception as error:  # Of many kinds, one for each compression.
            raise ValueError(f"Cannot decode part {index} of {file.path}: {error}") from error
        return None if cell is None else cell[0]


def _problem(page: Any) -> str:
    """Why parts of a page cannot be read; empty where they can."""
    from tifffile import TIFF

    orientation = page.tags.valueof(_ORIENTATION, default=_UPRIGHT)
    if (
        page.photometric.name not in _PLAIN
        or page.planarconfig != 1
        or page.imagedepth != 1
        or page.bitspersample not in _WHOLE_BITS
        or orientation != _UPRIGHT
    ):
        return (
            f"of {page.photometric.name}, {page.bitspersample} bits, orientation {orientation}, "
            f"planar configuration {int(page.planarconfig)}"
        )
    if page.compression not in TIFF.DECOMPRESSORS:
        return (
            f"compressed by {page.compression.name}, which takes the package imagecodecs: "
            "pip install maskrcnn-keras[tiff]"
        )
    return ""
