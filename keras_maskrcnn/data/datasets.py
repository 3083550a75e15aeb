"""Reads a data set of any format."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.formats.reader import FORMATS, Reader, run_reader
from keras_maskrcnn.data.formats.source import Source
from keras_maskrcnn.data.formats.tfrecord import RemoteShards
from keras_maskrcnn.data.garbage import no_garbage_collection
from keras_maskrcnn.data.remote_files import is_remote
from keras_maskrcnn.images.pixels import PixelFormat

_CLASSES_SHOWN = 20


def load_dataset(
    path: str | os.PathLike[str],
    format: str = "auto",
    *,
    split: str | None = None,
    image_dir: str | os.PathLike[str] | None = None,
    class_names: Sequence[str] | None = None,
    orientation: str = "auto",
    on_error: str = "warn",
    channels: int = 3,
    value_range: tuple[float, float] | None = None,
    display: tuple[int, int, int] | None = None,
    verbose: bool = True,
    **settings: Any,
) -> DetectionData:
    """Reads an annotated data set; its format is found by what lies there.

    No pixel of a picture is decoded, except of masks that are stored as pictures. Vertices stay
    as exact as they are written. Pictures are found below the folder by the end of the name that
    the annotations give them, never by a guess between two.

    Args:
        path: a folder, or an annotation file beside or above its pictures; of TFRecord shards,
            also a folder in a bucket, such as `gs://bucket/photos`.
        format: one of `FORMATS.names`, or `"auto"`.
        split: which part to read where there are several, such as `"train"`.
        image_dir: folder below which the pictures lie; by default that of `path`.
        class_names: the classes in their order; needed where two splits must have the same and
            the format names none. By default the format's order or, without one, by alphabet.
        orientation: which pixels annotations count where a picture has an EXIF orientation.
            `"auto"`: told by the annotated size; where that is the same either way, by the data
            set's other pictures, or by what is known of the format's tools, else upright is taken
            and said. `"upright"` or `"stored"`. Pictures and objects are always read upright.
        on_error: what happens with an item that cannot be used: `"warn"` leaves it out, adds a
            line to `DetectionData.warnings` and gives one Python warning that counts them;
            `"raise"` raises the same text as an error.
        channels, value_range, display: what the pictures' pixels mean; see `PixelFormat`. Files are
            read as they are trained on, with so many channels.
        verbose: whether to print what the format is and what was found.
        **settings: of the format's reader, such as `class_attribute` of VIA's.

    Returns:
        All pictures that can be used, also those without objects.

    Raises:
        ValueError: if there is nothing at `path`, no format or several fit, the split is not
            there or not said, no picture can be used, or with `on_error="raise"` any item cannot
            be used. The message names the file and the item.

    Example:
        data = keras_maskrcnn.data.load_dataset("fruit/", split="train")
        model.fit(data, batch_size=2)
    """
    pixels = PixelFormat(channels, value_range, display)
    if image_dir is not None and not Path(image_dir).is_dir():
        raise ValueError(
            f"Expected image_dir to be a folder. Received: image_dir={str(image_dir)!r}"
        )
    with no_garbage_collection():
        source = _source(path, None if image_dir is None else Path(image_dir))
        name = _find_format(source) if format == "auto" else format
        reader = FORMATS.make(name, **settings)
        part = _find_split(reader, source, split)
        data = run_reader(
            reader, part, class_names=class_names, orientation=orientation, on_error=on_error
        )
    data.pixels = pixels
    if verbose:
        print(f"{part.path}: {reader.title}\n{summary(data)}")
    return data


def dataset_splits(path: str | os.PathLike[str], format: str = "auto") -> list[str]:
    """The names that `load_dataset` takes as `split`; none where all is one data set.

    Raises:
        ValueError: if there is nothing at `path`, or no format or several fit.
    """
    source = _source(path)
    reader = FORMATS.make(_find_format(source) if format == "auto" else format)
    return list(reader.splits(source))


def dataset_format(path: str | os.PathLike[str]) -> str:
    """The name of the one format that fits what lies there; `ValueError` as `dataset_splits`."""
    return _find_format(_source(path))


def _source(path: str | os.PathLike[str], root: Path | None = None) -> Source:
    if is_remote(path):
        return RemoteShards(os.fspath(path))
    place = Path(path)
    # Else the folder above would be searched.
    if not place.exists():
        raise ValueError(f"Expected a folder or an annotation file. Received: path={str(path)!r}")
    return Source(place, root=root)


def summary(data: DetectionData) -> str:
    """What a data set holds, in a few lines: pictures, objects of each class, what is left out."""
    counts = Counter(o.category for record in data.records for o in record.objects)
    empty = sum(not record.objects for record in data.records)
    classes = [f"{name} {counts[k]}" for k, name in enumerate(data.class_names)]
    more = len(classes) - _CLASSES_SHOWN
    shown = ", ".join(classes[:_CLASSES_SHOWN]) + (f" and {more} more classes" if more > 0 else "")
    crowds = sum(len(record.crowds) for record in data.records)
    lines = [
        f"  {len(data)} pictures, {empty} of them without objects",
        f"  {sum(counts.values())} objects: {shown}",
        f"  {crowds} crowd regions",
        f"  {len(data.boxes_only)} objects with a box only",
        f"  {len(data.warnings)} items left out, see DetectionData.warnings",
    ]
    if not data.pixels.is_common:
        lines.append(f"  pixels: {data.pixels}")
    return "\n".join(line for line in lines if not line.startswith("  0 ") or "objects:" in line)


def _find_format(source: Source) -> str:
    if isinstance(source, RemoteShards):
        return "tfrecord"
    found = FORMATS.that_find(source)
    if len(found) == 1:
        return next(iter(found))
    if found:
        named = " and ".join(f"{name!r} ({reader.title})" for name, reader in found.items())
        raise ValueError(
            f"{source.path}: expected one format. Received: what looks like {named}; say which by "
            f"format="
        )
    kinds = Counter(file.suffix.lower() or file.name for file in source.files)
    there = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(6)) or "no files"
    raise ValueError(
        f"{source.path}: expected annotations in one of the formats {FORMATS.names}. "
        f"Received: {there}, which no reader recognises"
    )


def _find_split(reader: Reader, source: Source, split: str | None) -> Source:
    parts = reader.splits(source)
    if split is None:
        if len(parts) > 1:
            raise ValueError(
                f"{source.path}: expected split to be one of {tuple(parts)}, since there are "
                "several. Received: split=None"
            )
        return next(iter(parts.values()), source)
    # `train` also stands for `train2017`.
    fitting = [n for n in parts if n == split] or [
        n for n in parts if re.fullmatch(rf"{re.escape(split)}\d+", n)
    ]
    if len(fitting) != 1:
        raise ValueError(
            f"{source.path}: expected split to be one of {tuple(parts)}. Received: split={split!r}"
        )
    return parts[fitting[0]]
