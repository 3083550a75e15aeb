"""Pictures that are decoded while the model is at work, and brought together by their sizes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from typing import NamedTuple

import numpy as np

from keras_maskrcnn.data.picture_files import check_content
from keras_maskrcnn.data.reading import decode_file, read_image
from keras_maskrcnn.data.remote_files import is_remote
from keras_maskrcnn.data.shard_files import shard_place
from keras_maskrcnn.images.input_size import InputSize
from keras_maskrcnn.images.pixels import PixelFormat


class Read(NamedTuple):
    """A picture, `[h, w, C]` on the scale 0..255."""

    number: int
    path: str
    picture: np.ndarray


class Unread(NamedTuple):
    """Why there is none."""

    number: int
    path: str
    error: str


def read_ahead(
    numbered: Iterable[tuple[int, str]], pixels: PixelFormat, pool: Executor, ahead: int
) -> Iterator[Read | Unread]:
    """Reads pictures in their order, so many at a time and no more.

    Args:
        numbered: numbers and paths.
        pixels: of the model.
        pool: where they are read.
        ahead: how many may wait to be taken.
    """
    waiting: deque = deque()
    for number, path in numbered:
        waiting.append(pool.submit(_read, number, path, pixels))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _read(number: int, path: str, pixels: PixelFormat) -> Read | Unread:
    try:
        # A picture within a shard has an address too, of which the shard's is a part.
        is_file = is_remote(path) and shard_place(path) is None
        read = _remote if is_file else read_image
        return Read(number, path, read(path, pixels))
    except ValueError as error:
        return Unread(number, path, str(error))


def _remote(path: str, pixels: PixelFormat) -> np.ndarray:
    import tensorflow as tf

    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            content = file.read()
    except tf.errors.OpError as error:
        raise ValueError(f"Cannot read the picture {path}: {error.message}") from error
    return decode_file(path, content, check_content(content, path), pixels)


def in_batches(
    pictures: Iterable[Read], size: InputSize, batch_size: int, window: int
) -> Iterator[list[Read]]:
    """Batches of pictures of like size, of which little is padding.

    Args:
        pictures: that were read.
        size: of the network's input.
        batch_size: pictures a batch, at most.
        window: of how many pictures like ones are looked for.
    """
    gathered: list[Read] = []
    for one in pictures:
        gathered.append(one)
        if len(gathered) >= window:
            yield from _of_like_size(gathered, size, batch_size)
            gathered = []
    yield from _of_like_size(gathered, size, batch_size)


def _of_like_size(pictures: list[Read], size: InputSize, batch_size: int) -> Iterator[list[Read]]:
    def shape(one: Read) -> tuple[int, int]:
        height, width = one.picture.shape[:2]
        return size.resized(height, width)

    ordered = sorted(pictures, key=shape)
    for start in range(0, len(ordered), batch_size):
        yield ordered[start : start + batch_size]
