"""What each picture file tells: read once, by the decoder that training uses, on all cores."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from keras_maskrcnn.data.picture_files import open_picture_file
from keras_maskrcnn.data.windows import open_parts
from keras_maskrcnn.doctor.large_pictures import SmallPicture, bands, file_digest
from keras_maskrcnn.images.numpy_file import ArrayParts
from keras_maskrcnn.images.pixels import PixelFormat, to_bytes
from keras_maskrcnn.images.tiff_parts import TiffParts
from keras_maskrcnn.notebook import in_notebook

# Columns and rows of the small picture; neighbours in a row make 8 x 8 bits.
_SMALL = 9, 8
# Bytes that tell files apart.
_DIGEST = 16
_SECONDS_BETWEEN_LINES = 0.5


@dataclass(frozen=True, eq=False)
class PictureFacts:
    """What is known of a picture after all of it was read.

    Args:
        problem: why it cannot be read; then nothing else is known.
        size: height and width upright, in pixels.
        orientation: EXIF's, 1 to 8.
        digest: of the file's bytes.
        small: uint8 `[8, 9, 3]`: means of its parts.
        low, high: the darkest and the lightest value, rounded to 0..255.
        spread: grey levels between the hundredth and the 99th part of a channel's values, where
            that is most.
        mean, square: of the values, on the scale 0..255, and of their squares, float64 `[C]`.
        is_grey: whether there are three channels, and these are equal.
    """

    problem: str = ""
    size: tuple[int, int] | None = None
    orientation: int = 1
    digest: bytes = b""
    small: np.ndarray | None = None
    low: int = 0
    high: int = 0
    spread: int = 0
    mean: np.ndarray | None = None
    square: np.ndarray | None = None
    is_grey: bool = False


def read_facts(
    pictures: Sequence[tuple[str, PixelFormat]],
    progress: Callable[[int], None] = lambda done: None,
    *,
    by_parts: bool = False,
) -> list[PictureFacts]:
    """Reads all pictures, one on each core at a time.

    Args:
        pictures: path of each, and what its pixels mean.
        progress: is told how many are done.
        by_parts: see `picture_facts`.
    """
    read = functools.partial(picture_facts, by_parts=by_parts)
    facts = []
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for fact in threads.map(lambda picture: read(*picture), pictures):
            facts.append(fact)
            progress(len(facts))
    return facts


def progress_line(total: int) -> Callable[[int], None]:
    """Shows on standard error how far the reading of `total` pictures is.

    In a notebook on standard output, since what is on the other looks like an error there.
    """
    stream = sys.stdout if in_notebook() else sys.stderr
    last = 0.0

    def show(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done == total or now - last > _SECONDS_BETWEEN_LINES:
            last = now
            end = "\n" if done == total else ""
            print(f"\rreading pictures: {done} of {total}", end=end, file=stream, flush=True)

    return show


def picture_facts(
    path: str, pixels: PixelFormat | None = None, *, by_parts: bool = False
) -> PictureFacts:
    """Reads one picture.

    Args:
        path: of the file.
        pixels: what its pixels mean; by default RGB.
        by_parts: whether it may be so large that only parts of it are decoded at a time, as where
            crops of it are trained on: of TIFF and `.npy` files.
    """
    # TensorFlow's decoders, since Pillow reads files that these refuse, and the other way round.
    from keras_maskrcnn.data.reading import decode_file

    pixels = pixels or PixelFormat()
    try:
        parts = open_parts(path, pixels) if by_parts else None
        if parts is not None:
            with contextlib.closing(parts):
                if min(parts.shape) >= max(_SMALL):
                    return _facts_of_parts(path, parts, pixels)
        content, header = open_picture_file(path)
        values = decode_file(path, content, header, pixels)
    except ValueError as error:
        return PictureFacts(problem=str(error))
    image = to_bytes(values)
    shown = Image.fromarray(pixels.displayed(values))
    counts = _histograms(image)
    is_grey = bool((counts == counts[0]).all()) and _is_grey(image)
    mean, square = _moments(values, counts)
    return PictureFacts(
        size=(image.shape[0], image.shape[1]),
        orientation=header.orientation,
        digest=hashlib.blake2b(content, digest_size=_DIGEST).digest(),
        small=np.asarray(shown.resize(_SMALL, Image.Resampling.BOX)),
        **_brightness(counts),
        mean=mean,
        square=square,
        is_grey=is_grey,
    )


def _facts_of_parts(path: str, parts: TiffParts | ArrayParts, pixels: PixelFormat) -> PictureFacts:
    """As `picture_facts`, of an upright picture that is read part by part."""
    counts = np.zeros((pixels.channels, 256))
    sums = np.zeros((2, pixels.channels))
    small = SmallPicture(parts.shape, *_SMALL)
    is_grey = True
    for values in bands(parts, pixels):
        image = to_bytes(values)
        own = _histograms(image)
        counts += own
        sums += np.stack(_moments(values, own)) * len(values)
        is_grey = is_grey and _is_grey(image)
        small.add(pixels.displayed(values))
    mean, square = sums / parts.shape[0]
    return PictureFacts(
        size=parts.shape,
        digest=file_digest(path, _DIGEST),
        small=small.means(),
        **_brightness(counts),
        mean=mean,
        square=square,
        is_grey=is_grey,
    )


def _brightness(counts: np.ndarray) -> dict[str, Any]:
    """What histograms `[C, 256]` tell of the values that are there."""
    there = np.flatnonzero(counts.any(axis=0))
    return {
        "low": int(there[0]),
        "high": int(there[-1]),
        "spread": max(_spread(row) for row in counts),
    }


def _is_grey(image: np.ndarray) -> bool:
    """Whether there are three channels, and these are equal."""
    return image.shape[2] == 3 and bool(
        (image[..., 0] == image[..., 1]).all() and (image[..., 1] == image[..., 2]).all()
    )


def _histograms(image: np.ndarray) -> np.ndarray:
    """float64 `[C, 256]` of uint8 `[H, W, C]`."""
    if image.shape[2] == 3:  # All at once.
        return np.array(Image.fromarray(image).histogram(), np.float64).reshape(3, 256)
    channels = range(image.shape[2])
    return np.array([np.bincount(image[..., c].ravel(), minlength=256) for c in channels], float)


def _moments(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean by channel of the values, and of their squares; of bytes from their histograms."""
    pixels = values.shape[0] * values.shape[1]
    if values.dtype == np.uint8:
        levels = np.arange(256.0)
        return counts @ levels / pixels, counts @ levels**2 / pixels
    planes = [values[..., c].astype(np.float64) for c in range(values.shape[2])]
    return np.array([p.mean() for p in planes]), np.array([np.square(p).mean() for p in planes])


def _spread(counts: np.ndarray) -> int:
    share = np.cumsum(counts) / counts.sum()
    return int(np.searchsorted(share, 0.99) - np.searchsorted(share, 0.01))
