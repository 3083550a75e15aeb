"""What each picture file tells: read once, by the decoder that training uses, on all cores."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image

from keras_maskrcnn.data.headers import read_header
from keras_maskrcnn.data.picture_files import read_picture_file
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.images.depth import to_bytes

# Columns and rows of the small picture; neighbours in a row make 8 x 8 bits.
_SMALL = 9, 8
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
        low, high: the darkest and the lightest value, 0..255.
        spread: grey levels between the hundredth and the 99th part of a channel's values, where
            that is most.
        mean, square: of the values and of their squares, float64 `[3]`, by channel.
        is_grey: whether the three channels are equal.
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
    records: Sequence[ImageRecord], progress: Callable[[int], None] = lambda done: None
) -> list[PictureFacts]:
    """Reads all pictures, one on each core at a time.

    Args:
        records: the pictures.
        progress: is told how many are done.
    """
    facts = []
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for fact in threads.map(picture_facts, (record.path for record in records)):
            facts.append(fact)
            progress(len(facts))
    return facts


def progress_line(total: int) -> Callable[[int], None]:
    """Shows on standard error how far the reading of `total` pictures is."""
    last = 0.0

    def show(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done == total or now - last > _SECONDS_BETWEEN_LINES:
            last = now
            end = "\n" if done == total else ""
            print(f"\rreading pictures: {done} of {total}", end=end, file=sys.stderr, flush=True)

    return show


def picture_facts(path: str) -> PictureFacts:
    """Reads one picture."""
    # TensorFlow's decoders, since Pillow reads files that these refuse, and the other way round.
    from keras_maskrcnn.data.reading import read_image

    try:
        content = read_picture_file(path)
        image = to_bytes(read_image(path))
    except ValueError as error:
        return PictureFacts(problem=str(error))
    picture = Image.fromarray(image)
    counts = np.array(picture.histogram(), np.float64).reshape(3, 256)
    values = np.arange(256.0)
    there = np.flatnonzero(counts.any(axis=0))
    is_grey = bool((counts == counts[0]).all()) and bool(
        (image[..., 0] == image[..., 1]).all() and (image[..., 1] == image[..., 2]).all()
    )
    pixels = image.shape[0] * image.shape[1]
    return PictureFacts(
        size=(image.shape[0], image.shape[1]),
        orientation=read_header(content).orientation,
        digest=hashlib.blake2b(content, digest_size=16).digest(),
        small=np.asarray(picture.resize(_SMALL, Image.Resampling.BOX)),
        low=int(there[0]),
        high=int(there[-1]),
        spread=max(_spread(row) for row in counts),
        mean=counts @ values / pixels,
        square=counts @ values**2 / pixels,
        is_grey=is_grey,
    )


def _spread(counts: np.ndarray) -> int:
    share = np.cumsum(counts) / counts.sum()
    return int(np.searchsorted(share, 0.99) - np.searchsorted(share, 0.01))
