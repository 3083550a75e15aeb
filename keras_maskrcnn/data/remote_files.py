"""Files of buckets, brought to this machine's disk when they are first needed."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
from collections import defaultdict
from functools import cache
from pathlib import Path

# The folder in which copies stay; without it, that of a process goes with it.
CACHE_VARIABLE = "KERAS_MASKRCNN_SHARD_CACHE"
# What paths of other places than this machine's disk have: gs://, s3://, hdfs://.
_SCHEME = "://"
# Part of the disk that copies leave free: what was not used for longest makes room for what comes.
_SPARE = 0.05
_CHUNK = 1 << 24
# Ends of files that are still being written.
_UNFINISHED = ".part"

_copies: dict[str, Path] = {}
# Of each address: many threads ask for one shard at once.
_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
_guard = threading.Lock()


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Whether TensorFlow's file systems read a path, such as `gs://bucket/a.jpg`."""
    return _SCHEME in os.fspath(path)


def remote_names(folder: str) -> list[str]:
    """What the files and folders of a remote folder are called, sorted.

    Raises:
        ValueError: if it cannot be listed; the message names it.
    """
    import tensorflow as tf

    try:
        return sorted(name.rstrip("/") for name in tf.io.gfile.listdir(folder))
    except tf.errors.OpError as error:
        raise ValueError(f"Cannot list {folder}: {error.message}") from error


def local_copy(address: str, *, is_fresh: bool = False) -> Path:
    """The file on this machine's disk that holds what a remote one does.

    It is brought as a whole, in one go, which is how buckets are fast, and stays in the folder that
    `KERAS_MASKRCNN_SHARD_CACHE` names, or else in a temporary one, until there is no more room.

    Args:
        address: what TensorFlow's file systems read, such as `gs://bucket/a-00000-of-00004.tfrecord`.
        is_fresh: whether to ask anew whether the file has changed, and not once for the process.

    Raises:
        ValueError: if it cannot be read, or written here; the message names it.
    """
    with _guard:
        lock = _locks[address]
    with lock:
        known = _copies.get(address)
        if known is not None and not is_fresh:
            try:
                os.utime(known)  # The time of its last use, by which room is made.
            except FileNotFoundError:
                pass
            else:
                return known
        _copies[address] = copy = _brought(address)
    return copy


def _brought(address: str) -> Path:
    import tensorflow as tf

    try:
        status = tf.io.gfile.stat(address)
        version = f"{address}\n{status.length}\n{status.mtime_nsec}"
        digest = hashlib.sha256(version.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        place = _folder() / f"{digest}-{address.rpartition('/')[2]}"
        if place.is_file():
            os.utime(place)
            return place
        _make_room(place.parent, status.length)
        handle, name = tempfile.mkstemp(suffix=_UNFINISHED, dir=place.parent)
        try:
            with open(handle, "wb") as target, tf.io.gfile.GFile(address, "rb") as source:
                while chunk := source.read(_CHUNK):
                    target.write(chunk)
                size = target.tell()
            if size != status.length:
                raise ValueError(f"Expected {status.length} bytes of {address}. Received: {size}")
            os.replace(name, place)
        except BaseException:
            os.unlink(name)
            raise
    except tf.errors.OpError as error:
        raise ValueError(f"Cannot read {address}: {error.message}") from error
    except OSError as error:
        raise ValueError(f"Cannot keep a copy of {address}: {error}") from error
    return place


@cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    """It is removed when the process ends."""
    return tempfile.TemporaryDirectory(prefix="maskrcnn-shards-")


def _folder() -> Path:
    named = os.environ.get(CACHE_VARIABLE)
    if not named:
        return Path(_temporary().name)
    folder = Path(named).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _make_room(folder: Path, size: int) -> None:
    """Removes the copies that were not used for longest, until there is room for another."""
    usage = shutil.disk_usage(folder)
    lacking = size + _SPARE * usage.total - usage.free
    copies = (place for place in folder.iterdir() if place.suffix != _UNFINISHED)
    for _, length, place in sorted((s.st_mtime, s.st_size, p) for p in copies for s in [p.stat()]):
        if lacking <= 0:
            return
        # Who reads it at this moment, reads on.
        place.unlink(missing_ok=True)
        lacking -= length
