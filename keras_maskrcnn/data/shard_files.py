"""Pictures within TFRecord shards: their addresses, and their bytes.

A shard is a TFRecord file of `tf.train.Example`; see `writers.tfrecord` for what these hold. A
record of the data has such an address as its path, and all that reads pictures reads it:
`photos/train-00003-of-00016.tfrecord@8192+51234/a.jpg` is the picture `a.jpg` of the record that
begins at byte 8192 and has 51234 bytes of content.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np

from keras_maskrcnn.data.crc32c import masked_crc32c
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.data.remote_files import is_remote, local_copy

ENCODED = "image/encoded"
# Around the content of a record: its length and that number's checksum before it, its own after.
_HEAD, _FOOT = struct.Struct("<QI"), struct.Struct("<I")
FRAME_BYTES = _HEAD.size + _FOOT.size
# More is no message of Protocol Buffers.
_LONGEST = 1 << 31
# The name of a shard, and of the split that it is a part of.
SHARD_NAME = re.compile(r"(.+)-\d{5,}-of-\d{5,}\.tfrecord")
_ADDRESS = re.compile(r"(.+\.tfrecord)@(\d{1,18})\+(\d{1,18})/([^/]+)", re.DOTALL)


class ShardPlace(NamedTuple):
    """Where a picture lies.

    Args:
        shard: path of the file, which may be remote.
        offset: byte at which its record begins.
        length: bytes of the record's content.
        name: of the picture.
    """

    shard: str
    offset: int
    length: int
    name: str

    def __str__(self) -> str:
        return f"{self.shard}@{self.offset}+{self.length}/{self.name}"


def shard_place(path: str | os.PathLike[str]) -> ShardPlace | None:
    """Where a picture lies within a shard; None for the path of a file."""
    text = os.fspath(path)
    found = _ADDRESS.fullmatch(text) if ".tfrecord@" in text else None
    if found is None:
        return None
    return ShardPlace(found[1], int(found[2]), int(found[3]), found[4])


def name_as_file(path: str | os.PathLike[str]) -> PurePath:
    """A picture's name and that of its folder; of one in a shard, the split's, wherever the shards
    are cut."""
    place = shard_place(path)
    if place is None:
        return PurePath(*PurePath(path).parts[-2:])
    shard = SHARD_NAME.fullmatch(PurePath(place.shard).name)
    return PurePath(shard[1] if shard else "", place.name)


def shard_numbers(records: Sequence[ImageRecord]) -> np.ndarray | None:
    """The number of each picture's shard, int64 `[count]`, shards by name from 0; None where a
    picture is in no shard."""
    shards = []
    for record in records:
        place = shard_place(record.path)
        if place is None:
            return None
        shards.append(place.shard)
    return np.unique(shards, return_inverse=True)[1].astype(np.int64)


def read_shard_picture(place: ShardPlace) -> bytes:
    """The bytes of a picture file, as they were written.

    Raises:
        ValueError: if the shard cannot be read, ends before the record does, its checksums are
            wrong, or it holds no picture; the message names shard, record and picture.
    """
    try:
        return _picture_of(_content(place))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(
            f"Cannot read the record at byte {place.offset} of {place.shard}, picture "
            f"{place.name}: {reason}"
        ) from error


def _content(place: ShardPlace) -> bytes:
    """The content of the record, of which both checksums are right."""
    if place.length >= _LONGEST:
        raise ValueError(f"expected less than {_LONGEST} bytes. Received: {place.length}")
    size = place.length + FRAME_BYTES
    frame = _bytes(place, size)
    if len(frame) < size:
        raise ValueError(f"the shard ends {size - len(frame)} bytes before it is whole")
    length, check = _HEAD.unpack_from(frame)
    if check != masked_crc32c(frame[:8]):
        raise ValueError("the checksum (CRC-32C) of its length is wrong")
    if length != place.length:
        raise ValueError(f"expected {place.length} bytes. Received: length={length}")
    content = frame[_HEAD.size : -_FOOT.size]
    if _FOOT.unpack_from(frame, size - _FOOT.size)[0] != masked_crc32c(content):
        raise ValueError("the checksum (CRC-32C) of its content is wrong")
    return content


def _bytes(place: ShardPlace, size: int) -> bytes:
    if not is_remote(place.shard):
        return _slice(Path(place.shard), place.offset, size)
    try:
        return _slice(local_copy(place.shard), place.offset, size)
    except FileNotFoundError:
        # Between the two it was removed, to make room for another.
        return _slice(local_copy(place.shard), place.offset, size)


def _slice(file: Path, offset: int, size: int) -> bytes:
    # Opening a pipe would wait for ever.
    if file.exists() and not file.is_file():
        raise ValueError("the shard is no regular file")
    with open(file, "rb") as opened:
        opened.seek(offset)
        return opened.read(size)


def _picture_of(content: bytes) -> bytes:
    # Decoding needs it anyway.
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        values = tf.train.Example.FromString(content).features.feature[ENCODED].bytes_list.value
    except DecodeError as error:
        raise ValueError(f"it is no tf.train.Example ({error})") from error
    if len(values) != 1:
        raise ValueError(f"expected one picture as {ENCODED}. Received: {len(values)}")
    return values[0]
