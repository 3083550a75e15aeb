"""Writes TFRecord shards, and the index by which `formats.tfrecord` reads them."""

from __future__ import annotations

import gzip
import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from keras_maskrcnn.checks import at_least
from keras_maskrcnn.data.formats.problems import ItemError, Problems
from keras_maskrcnn.data.formats.shard_index import picture_entry
from keras_maskrcnn.data.formats.tfrecord import INDEX_SUFFIX, KIND, VERSION
from keras_maskrcnn.data.picture_files import open_picture_file
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.data.shard_files import ENCODED, FRAME_BYTES, shard_place
from keras_maskrcnn.data.writers.base import UNDIVIDED, Part, Writer, register

if TYPE_CHECKING:
    import tensorflow as tf

# Large enough that a bucket gives it at full speed, small enough that many share a pass.
_SHARD_BYTES = 128 * 2**20


@register("tfrecord")
class TfrecordWriter(Writer):
    """`train-00000-of-00016.tfrecord` and so on, and `train.index.jsonl.gz` beside them.

    A record is a `tf.train.Example` with the bytes of the picture's file as they were, boxes and
    classes under the names that TensorFlow's Object Detection API gives them, and, as
    `maskrcnn/annotations`, all annotations as JSON that keeps every digit. The index has that JSON
    of all pictures, in their order, with the place of each. Picture `i` is in shard `i % shards`,
    so that each shard is a sample of all the data.

    Files are written under hidden names (`.train-...part`) and get their own when they are whole,
    the index last: what was interrupted has none, and is refused.

    Args:
        shards: of each split; see `save_dataset`.
    """

    title = "TFRecord shards"
    # TensorFlow's decoders pass over the orientation.
    is_turned = False

    def __init__(self, shards: int | None = None) -> None:
        self.shards = shards

    def in_shards(self, count: int) -> TfrecordWriter:
        at_least(1, shards=count)
        return TfrecordWriter(count)

    def picture_folder(self, split: str) -> PurePath:
        # No folder is made: names of pictures need to differ within a split only.
        return PurePath(split)

    def place_pictures(self, folder: Path, part: Part, *, link: bool) -> None:
        """They become part of the shards."""
        if link:
            raise ValueError(
                "Expected copies: pictures become part of the shards, and cannot be linked. "
                "Received: link=True"
            )
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, folder: Path, parts: Sequence[Part], lost: Problems) -> None:
        for part in parts:
            self._write_part(folder, part, lost)

    def _write_part(self, folder: Path, part: Part, lost: Problems) -> None:
        split = part.split or UNDIVIDED
        records = part.data.records
        ids = [record.image_id for record in records]
        if len(set(ids)) < len(ids):
            ids = list(range(1, len(ids) + 1))
            lost.add(split, ItemError("image ids are counted from 1, since some occur twice"))
        wanted = self.shards or -(-sum(map(_size, records)) // _SHARD_BYTES)
        count = max(1, min(wanted, len(records)))
        places: list[dict[str, int]] = [{} for _ in records]
        bits = [0] * len(records)
        shards = []
        for number in range(count):
            name = f"{split}-{number:05d}-of-{count:05d}.tfrecord"
            members = range(number, len(records), count)
            with _whole_file(folder / name) as file:
                offset = _write_shard(file, members, part, ids, places, bits, number)
            shards.append({"file": name, "pictures": len(members), "bytes": offset})
        with _whole_file(folder / f"{split}{INDEX_SUFFIX}") as file, _gzip_text(file) as stream:
            stream.write(_line({**_head(part), "pictures": len(records), "shards": shards}) + "\n")
            for k, (name, record) in enumerate(part.pictures()):
                entry = picture_entry(record, name, ids[k], bits[k])
                stream.write(_line({**places[k], **entry}) + "\n")


def _write_shard(
    file: Path,
    members: Sequence[int],
    part: Part,
    ids: Sequence[int],
    places: list[dict[str, int]],
    bits: list[int],
    number: int,
) -> int:
    """Writes the records of some pictures, notes where each lies, and gives the file's size."""
    import tensorflow as tf

    offset = 0
    with tf.io.TFRecordWriter(str(file)) as writer:
        for k in members:
            name, record = part.names[k], part.data.records[k]
            content, header = open_picture_file(record.path)
            bits[k] = header.bits
            entry = picture_entry(record, name, ids[k], header.bits)
            example = _example(entry, content, header.format, part)
            data = example.SerializeToString(deterministic=True)
            writer.write(data)
            places[k] = {"shard": number, "offset": offset, "length": len(data)}
            offset += len(data) + FRAME_BYTES
    return offset


def _example(entry: dict[str, Any], content: bytes, format: str, part: Part) -> tf.train.Example:
    """A record; names as in the Object Detection API of TensorFlow's models, boxes in parts of the
    upright picture's sides."""
    import tensorflow as tf

    def of_bytes(*values: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    def of_integers(*values: int) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    def of_floats(*values: float) -> tf.train.Feature:
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    objects, data = entry["objects"], part.data
    sides = (entry["width"], entry["height"]) * 2
    corners = {
        f"image/object/bbox/{name}": of_floats(*(o["box"][k] / sides[k] for o in objects))
        for k, name in enumerate(("xmin", "ymin", "xmax", "ymax"))
    }
    classes = [o["class"] for o in objects]
    texts = [data.class_names[k].encode(errors="backslashreplace") for k in classes]
    feature = {
        ENCODED: of_bytes(content),
        "image/format": of_bytes(format.lower().encode()),
        "image/filename": of_bytes(os.fsencode(entry["name"])),
        "image/source_id": of_bytes(str(entry["id"]).encode()),
        "image/height": of_integers(entry["height"]),
        "image/width": of_integers(entry["width"]),
        **corners,
        "image/object/class/label": of_integers(*(int(data.category_ids[k]) for k in classes)),
        "image/object/class/text": of_bytes(*texts),
        "image/object/is_crowd": of_integers(*(int(o.get("crowd", False)) for o in objects)),
        "maskrcnn/annotations": of_bytes(_line(entry).encode()),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature))


def _head(part: Part) -> dict[str, Any]:
    data = part.data
    return {
        "kind": KIND,
        "version": VERSION,
        "class_names": list(data.class_names),
        "category_ids": [int(k) for k in data.category_ids],
        "keypoint_names": list(data.keypoint_names),
        "keypoint_flip_pairs": [[int(k) for k in pair] for pair in data.keypoint_flip_pairs],
    }


def _line(entry: dict[str, Any]) -> str:
    """ASCII, in which also names stand that no UTF-8 holds."""
    return json.dumps(entry, separators=(",", ":"), allow_nan=False)


def _size(record: ImageRecord) -> int:
    place = shard_place(record.path)
    return os.path.getsize(record.path) if place is None else place.length


@contextmanager
def _whole_file(file: Path) -> Iterator[Path]:
    """A name under which a file is written; then it gets its own."""
    unfinished = file.with_name(f".{file.name}.part")
    try:
        yield unfinished
        os.replace(unfinished, file)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


@contextmanager
def _gzip_text(file: Path) -> Iterator[io.TextIOWrapper]:
    """Without time and name, so that equal data make equal files."""
    with (
        open(file, "wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="ascii") as stream,
    ):
        yield stream
