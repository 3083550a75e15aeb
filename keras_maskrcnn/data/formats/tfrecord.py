"""Reads data in TFRecord shards, by the index beside them; `writers.tfrecord` writes both."""

from __future__ import annotations

import dataclasses
import gzip
import json
import stat
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from keras_maskrcnn.data.formats.checks import check_entry, check_integer, check_list
from keras_maskrcnn.data.formats.collector import Collector
from keras_maskrcnn.data.formats.problems import ItemError, shown
from keras_maskrcnn.data.formats.reader import FORMATS, SPLITS, Reader
from keras_maskrcnn.data.formats.shard_index import read_object_entry, read_picture_entry
from keras_maskrcnn.data.formats.source import Source
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.data.remote_files import is_remote, local_copy, remote_names
from keras_maskrcnn.data.shard_files import FRAME_BYTES, SHARD_NAME, ShardPlace

INDEX_SUFFIX = ".index.jsonl.gz"
# Of the first line of an index.
KIND, VERSION = "maskrcnn shards", 1


class RemoteShards(Source):
    """A folder of shards in a bucket, of which the indexes are brought here.

    Args:
        address: of the folder, such as `gs://bucket/photos`.

    Raises:
        ValueError: if it cannot be listed, or has no index.
    """

    def __init__(self, address: str, split: str | None = None) -> None:
        super().__init__(Path(address), split=split)
        self.address = address.rstrip("/")
        names = remote_names(self.address)
        indexes = [name for name in names if name.endswith(INDEX_SUFFIX)]
        if not indexes:
            raise ValueError(
                f"Expected TFRecord shards with an index (*{INDEX_SUFFIX}) in {address}, which is "
                f"the one format that is read from a bucket. Received: {len(names)} other files"
            )
        self.files = [Path(address, name) for name in names]

    def part(self, path: Path, split: str | None = None) -> RemoteShards:
        return RemoteShards(self.address, split)


@FORMATS.register("tfrecord")
class ShardReader(Reader):
    """An index tells all but the pixels: no shard is opened before its pictures are needed."""

    title = "TFRecord shards"

    def finds(self, source: Source) -> bool:
        return bool(_splits(source)) or any(
            file.parent.parent == source.path and file.parent.name.lower() in SPLITS
            for file in source.with_suffix(".gz", ".tfrecord")
            if file.name.endswith(INDEX_SUFFIX) or SHARD_NAME.fullmatch(file.name)
        )

    def splits(self, source: Source) -> dict[str, Source]:
        if source.path.is_file():
            return {}
        here = {name: source.part(source.path, split=name) for name in _splits(source)}
        return here or super().splits(source)

    def read(self, source: Source, found: Collector) -> None:
        splits = _splits(source)
        if source.split is None and len(splits) != 1:
            raise ValueError(
                f"{source.path}: expected the shards of one split, with an index "
                f"(*{INDEX_SUFFIX}). Received: {', '.join(splits) or 'none'}"
            )
        split = source.split or splits[0]
        folder = source.path.parent if source.path.is_file() else source.path
        index = folder / f"{split}{INDEX_SUFFIX}"
        bucket = source if isinstance(source, RemoteShards) else None
        place = str(folder) if bucket is None else bucket.address
        names = {file.name for file in (bucket.files if bucket else folder.iterdir())}
        if index.name not in names:
            raise ValueError(
                f"{place}: expected {index.name} beside the shards, which is written last: writing "
                "or copying them was not finished. Received: shards without it"
            )
        file = local_copy(f"{place}/{index.name}", is_fresh=True) if bucket else index
        _read(_lines(file, index), index, place, names, found)


def _splits(source: Source) -> list[str]:
    """The splits whose index or shards are there."""
    is_file = source.path.is_file()
    names = set()
    for file in source.with_suffix(".gz", ".tfrecord"):
        shard = SHARD_NAME.fullmatch(file.name)
        if not is_file and file.parent != source.path:
            continue
        if file.name.endswith(INDEX_SUFFIX):
            names.add(file.name.removesuffix(INDEX_SUFFIX))
        elif shard is not None and not is_file:
            names.add(shard[1])
    return sorted(names)


def _lines(file: Path, index: Path) -> Iterator[Any]:
    """What the lines of an index hold; `ValueError` with the name of the index."""
    whole = 0
    try:
        with gzip.open(file, "rt", encoding="utf-8") as stream:
            for line in stream:
                yield json.loads(line)
                whole += 1
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise ValueError(
            f"{index}: expected an index of shards, a gzip file of JSON lines. "
            f"Received: {error}, after {whole} whole lines"
        ) from error


def _read(
    lines: Iterator[Any], index: Path, folder: str, names: set[str], found: Collector
) -> None:
    try:
        head = check_entry(next(lines, None))
        if (head.get("kind"), head.get("version")) != (KIND, VERSION):
            given = f"{shown(head.get('kind'))}, {shown(head.get('version'))}"
            raise ItemError(f"expected an index of kind {KIND!r}, version {VERSION}", f" ({given})")
        classes = check_list(head, "class_names")
        ids = [check_integer({"id": k}, "id") for k in check_list(head, "category_ids")]
        keypoints = check_list(head, "keypoint_names")
        pairs = [_pair(pair, len(keypoints)) for pair in check_list(head, "keypoint_flip_pairs")]
        shards = [_shard(entry, folder, names) for entry in check_list(head, "shards")]
        pictures = check_integer(head, "pictures")
        if len(ids) != len(classes) or set(map(type, keypoints)) - {str}:
            raise ItemError("expected an id for each class, and texts as names of keypoints")
    except ItemError as problem:
        raise ValueError(f"{index}: {problem}{problem.details}") from None
    found.declare_classes(classes, ids)
    found.declare_keypoints(keypoints, pairs)
    keys: set[int] = set()
    read = 0
    for read, value in enumerate(lines, 1):
        objects = value.get("objects") if isinstance(value, dict) else None
        lost = len(objects) if isinstance(objects, list) else 0
        with found.item(f"line {read + 1}", objects=lost):
            _read_picture(check_entry(value), shards, classes, len(keypoints), keys, found)
    if read != pictures:
        raise ValueError(f"{index}: expected {pictures} pictures. Received: {read}")
    _require_whole(shards)


class _Shard:
    """A shard, and where the pictures that it should have end."""

    def __init__(self, path: str, size: int) -> None:
        self.path = path
        self.size = size
        self.places: list[ShardPlace] = []


def _shard(value: Any, folder: str, names: set[str]) -> _Shard:
    entry = check_entry(value)
    name = entry.get("file")
    if not isinstance(name, str) or SHARD_NAME.fullmatch(name) is None or "/" in name:
        raise ItemError("file of a shard is no name of one", f" ({shown(name)})")
    if name not in names:
        raise ItemError("a shard is missing", f" ({folder}/{name})")
    return _Shard(f"{folder}/{name}", check_integer(entry, "bytes"))


def _pair(value: Any, count: int) -> tuple[int, int]:
    if not isinstance(value, list) or [type(place) for place in value] != [int, int]:
        raise ItemError("a flip pair is not two numbers of keypoints", f" ({shown(value)})")
    if not all(0 <= place < count for place in value):
        raise ItemError("a flip pair is not two numbers of keypoints", f" ({shown(value)})")
    return value[0], value[1]


def _read_picture(
    entry: dict[str, Any],
    shards: list[_Shard],
    classes: list[str],
    keypoints: int,
    keys: set[int],
    found: Collector,
) -> None:
    number, offset, length = (check_integer(entry, key) for key in ("shard", "offset", "length"))
    if not 0 <= number < len(shards) or min(offset, length) < 0:
        raise ItemError("picture lies in no shard", f" ({number}, {offset}, {length})")
    name = entry.get("name")
    if not isinstance(name, str) or not name or "/" in name or "\0" in name:
        raise ItemError("name of the picture is no file's", f" ({shown(name)})")
    shard = shards[number]
    place = ShardPlace(shard.path, offset, length, name)
    record = read_picture_entry(entry, str(place))
    if record.image_id in keys:
        raise ItemError("its image id occurs twice", f" ({record.image_id})")
    objects = check_list(entry, "objects")
    keys.add(record.image_id)
    shard.places.append(place)
    found.add_record(record)
    for count, value in enumerate(objects):
        with found.item(partial("image id {}, object {}".format, record.image_id, count)):
            _add_object(value, record, classes, keypoints, found)


def _add_object(
    value: Any, image: ImageRecord, classes: list[str], keypoints: int, found: Collector
) -> None:
    category, instance = read_object_entry(value, image, len(classes), keypoints)
    wanted = found.category(classes[category])
    if wanted != category:  # The caller has an order of classes.
        instance = dataclasses.replace(instance, category=wanted)
    found.add_instance(image, instance)


def _require_whole(shards: list[_Shard]) -> None:
    """`ValueError` for a shard of another size than it was written with. Of those in a bucket, it
    is told where a record is read."""
    for shard in shards:
        if is_remote(shard.path):
            continue
        status = Path(shard.path).stat()
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{shard.path}: expected a regular file")
        if status.st_size == shard.size:
            continue
        lost = [p for p in shard.places if p.offset + p.length + FRAME_BYTES > status.st_size]
        first = min(lost, default=None, key=lambda place: place.offset)
        told = (
            ""
            if first is None
            else (
                f", of which the record at byte {first.offset}, picture {first.name}, is the first "
                "that is not whole"
            )
        )
        raise ValueError(
            f"{shard.path}: expected {shard.size} bytes, as its index says. "
            f"Received: {status.st_size}{told}"
        )
