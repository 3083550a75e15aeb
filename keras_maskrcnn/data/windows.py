"""Windows of picture files: read alone where the format allows, else of a picture decoded once.

A picture of 500 megapixels takes 1.5 GB, a window of it that a network sees 3 MB.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator

import numpy as np

from keras_maskrcnn.data.decoding import RGB
from keras_maskrcnn.data.picture_files import MAX_PIXELS, read_picture_header
from keras_maskrcnn.data.reading import read_picture, require_size
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.data.shard_files import shard_place
from keras_maskrcnn.images.formats import named_format
from keras_maskrcnn.images.numpy_file import ArrayParts
from keras_maskrcnn.images.pixels import PixelFormat
from keras_maskrcnn.images.tiff_parts import TiffParts
from keras_maskrcnn.images.tiling import Window

_TIFF, _ARRAYS = (named_format(name).suffixes for name in ("TIFF", "NumPy"))
# What decoded pictures may take in memory together, in bytes; the latest one always may.
DECODED_BYTES = 1 << 30
# Rows that are read at a time where all of a picture is.
_ROWS = 512


def open_parts(
    path: str | os.PathLike[str], pixels: PixelFormat = RGB
) -> TiffParts | ArrayParts | None:
    """Opens a picture file to read windows of it; of a TIFF file, of its first picture.

    Args:
        path: path of the file.
        pixels: what its pixels mean.

    Returns:
        `None` where all of the file must be decoded, or it cannot be read, which is told then.

    Raises:
        ValueError: for a file whose parts cannot be read, and which is too large to be decoded as a
            whole.
    """
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    if suffix not in (*_TIFF, *_ARRAYS) or shard_place(os.fspath(path)) is not None:
        return None
    parts: TiffParts | ArrayParts
    try:
        parts = TiffParts(path, pixels.channels) if suffix in _TIFF else ArrayParts(path)
    except ValueError:
        if _is_too_large(path):
            raise
        return None
    if pixels.channels > 3 and parts.channels != pixels.channels:
        parts.close()  # A page for each channel, perhaps.
        return None
    return parts


class PictureWindows:
    """Reads windows of pictures, from several threads at once.

    Of TIFF and `.npy` files the window alone is read. Of others all is decoded, and kept while
    windows of it are asked for: the pictures that were used last, as many as fit into
    `DECODED_BYTES`.

    Args:
        pixels: what pixels mean.
        keeps_all: whether every picture is decoded as a whole, and kept.
    """

    def __init__(self, pixels: PixelFormat, *, keeps_all: bool = False) -> None:
        self.pixels = pixels
        self.keeps_all = keeps_all
        self._decoded: OrderedDict[str, _Decoded] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, record: ImageRecord, window: Window) -> np.ndarray:
        """The pixels of a window.

        Args:
            record: of the whole picture.
            window: `(x1, y1, x2, y2)` within it, upright.

        Returns:
            `[h, w, C]` on the scale 0..255; see `read_image`.

        Raises:
            ValueError: if it cannot be read, or the picture is not of the annotated size; the
                message names the image id and the file.
        """
        if not self.keeps_all:
            with _parts(record, self.pixels) as parts:
                if parts is not None:
                    return _of_parts(parts, record, window, self.pixels)
        x1, y1, x2, y2 = window
        return self._whole(record)[y1:y2, x1:x2]

    def bytes_of(self, record: ImageRecord) -> int:
        """What a picture takes in memory while windows of it are read; 0 where these are alone."""
        with contextlib.suppress(ValueError, OSError), _parts(record, self.pixels) as parts:
            if parts is None:
                depth = 1 if self.pixels.keeps_bytes and _has_bytes(record) else 4
                return record.height * record.width * self.pixels.channels * depth
        return 0

    def _whole(self, record: ImageRecord) -> np.ndarray:
        with self._lock:
            entry = self._decoded.setdefault(record.path, _Decoded())
            self._decoded.move_to_end(record.path)
        # Threads that want the same picture wait for the one that decodes it.
        with entry.lock:
            if entry.image is None:
                entry.image = self._decode(record)
            image = entry.image
        if not self.keeps_all:
            with self._lock:
                self._forget_oldest()
        return image

    def _decode(self, record: ImageRecord) -> np.ndarray:
        with _parts(record, self.pixels) as parts:
            if parts is not None:
                whole = (0, 0, record.width, record.height)
                return _of_parts(parts, record, whole, self.pixels)
        return read_picture(record, self.pixels)

    def _forget_oldest(self) -> None:
        there = {path: entry.bytes for path, entry in self._decoded.items() if entry.bytes}
        total = sum(there.values())
        for path in list(there)[:-1]:
            if total <= DECODED_BYTES:
                return
            total -= there[path]
            del self._decoded[path]


class _Decoded:
    """A decoded picture, or a place for it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.image: np.ndarray | None = None

    @property
    def bytes(self) -> int:
        image = self.image
        return 0 if image is None else image.nbytes


def read_bands(record: ImageRecord, pixels: PixelFormat) -> Iterator[np.ndarray]:
    """Reads all of a picture from top to bottom, part by part where that is possible.

    Yields:
        `[h, W, C]` on the scale 0..255.

    Raises:
        ValueError: as `PictureWindows.read`.
    """
    with _parts(record, pixels) as parts:
        if parts is None:
            yield read_picture(record, pixels)
            return
        for top in range(0, record.height, _ROWS):
            bottom = min(top + _ROWS, record.height)
            yield _of_parts(parts, record, (0, top, record.width, bottom), pixels)


def check_windows(record: ImageRecord, pixels: PixelFormat) -> None:
    """`ValueError`, as of `PictureWindows.read`, unless all of a picture can be read."""
    for _ in read_bands(record, pixels):
        pass


@contextlib.contextmanager
def _parts(record: ImageRecord, pixels: PixelFormat) -> Iterator[TiffParts | ArrayParts | None]:
    """Opened for one window: a data set has more files than a process may hold open."""
    try:
        parts = open_parts(record.path, pixels)
    except ValueError as error:
        raise ValueError(f"Image id {record.image_id}: {error}") from error
    try:
        yield parts
    finally:
        if parts is not None:
            parts.close()


def _of_parts(
    parts: TiffParts | ArrayParts, record: ImageRecord, window: Window, pixels: PixelFormat
) -> np.ndarray:
    require_size(record, parts.shape)
    try:
        return pixels.of_file(parts.read(window))
    except ValueError as error:
        raise ValueError(
            f"Image id {record.image_id}: Cannot decode the picture {record.path}: {error}"
        ) from error


def _is_too_large(path: str | os.PathLike[str]) -> bool:
    try:
        return read_picture_header(path).pixels > MAX_PIXELS
    except (OSError, ValueError):
        return False


def _has_bytes(record: ImageRecord) -> bool:
    # Of a shard, whose index tells it, all of the picture would be read.
    return (record.bits or read_picture_header(record.path).bits) <= 8
