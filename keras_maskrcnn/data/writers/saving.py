"""Writes a data set in any format."""

from __future__ import annotations

import dataclasses
import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path, PurePath

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.formats.frames import picture_header
from keras_maskrcnn.data.formats.problems import ItemError, Problems, count_reasons
from keras_maskrcnn.data.formats.reader import SPLITS
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.data.writers.base import Part, Writer, find_writer
from keras_maskrcnn.data.writers.picture_files import picture_names
from keras_maskrcnn.images.orientation import upright_size


@dataclasses.dataclass(frozen=True)
class SavedData:
    """What `save_dataset` wrote.

    Args:
        folder: where.
        title: of the format.
        pictures: how many there are.
        losses: a line for each object or picture of which something was lost or changed.
        reasons: how often each reason occurs.
    """

    folder: Path
    title: str
    pictures: int
    losses: list[str]
    reasons: dict[str, int]

    def summary(self) -> str:
        """What was written, and a line for each reason for which something was lost."""
        title = f"{self.folder}: {self.title}, {self.pictures} pictures"
        return "\n".join([title, *count_reasons(self.losses, self.reasons)])


def save_dataset(
    data: DetectionData | Mapping[str, DetectionData],
    folder: str | os.PathLike[str],
    format: str = "coco",
    *,
    link: bool = False,
    is_numbered: bool = False,
    shards: int | None = None,
    verbose: bool = True,
) -> SavedData:
    """Writes a data set with its pictures, in a format that `load_dataset` reads.

    Vertices keep all their digits. What the format cannot hold (keypoints, crowd regions, holes,
    objects that overlap) is counted and told, item by item.

    Args:
        data: the data set, or its splits by name (`train`, `val`, `test`), of the same classes.
        folder: a new folder, or an empty one.
        format: one of `WRITERS`: `coco`, `cvat`, `label_studio`, `labelme`, `tfrecord`, `voc`,
            `yolo`.
        link: makes hard links of the pictures instead of copies; see `place_picture`.
        is_numbered: whether each picture's name begins with its place in the data, for tools that
            show pictures in the order of their names.
        shards: of `tfrecord`, how many files a split becomes, at most one for each picture; by
            default as many as have about 128 MB each.
        verbose: whether to print the summary.

    Returns:
        What was written, and what was lost.

    Raises:
        ValueError: if the format is unknown, the folder is not empty, there are no pictures,
            splits differ in their classes or have other names, no picture can be used, one
            cannot be linked, or the format has no shards.

    Example:
        data = load_dataset("fruit/", split="train")
        print(save_dataset(data, "fruit_yolo", "yolo").losses)
    """
    writer = find_writer(format)
    if shards is not None:
        writer = writer.in_shards(shards)
    place = Path(folder)
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise ValueError(f"Expected a new or empty folder. Received: folder={str(folder)!r}")
    lost = Problems(place)
    splits = {"": data} if isinstance(data, DetectionData) else dict(data)
    _check_splits(splits)
    for given in splits.values():
        writer.check_classes(given.class_names)
    splits = {name: _usable(given, writer, lost) for name, given in splits.items()}
    parts = _parts(splits, writer, is_numbered, lost)
    for part in parts:
        writer.place_pictures(place, part, link=link)
    writer.write(place, parts, lost)
    saved = SavedData(
        folder=place,
        title=writer.title,
        pictures=sum(len(part.data) for part in parts),
        losses=lost.lines,
        reasons=dict(lost.reasons.most_common()),
    )
    if verbose:
        print(saved.summary())
    return saved


def _check_splits(splits: Mapping[str, DetectionData]) -> None:
    known = all(name.lower() in SPLITS for name in splits)
    kinds = {name.lower()[:3] for name in splits}
    if set(splits) != {""} and not (known and 0 < len(splits) == len(kinds)):
        raise ValueError(
            f"Expected splits with names as train, val and test, each once. "
            f"Received: {', '.join(splits) or 'none'}"
        )
    names = [part.class_names for part in splits.values()]
    for others in names:
        if others != names[0]:
            raise ValueError(
                f"Expected the same classes in all splits. Received: {names[0]} and {others}"
            )


def _usable(data: DetectionData, writer: Writer, lost: Problems) -> DetectionData:
    """The data without pictures that cannot be read, or are of another size than annotated."""
    records = []
    for record in data.records:
        try:
            _check_picture(record, writer, lost)
        except ItemError as problem:
            reason = ItemError(f"picture is left out: {problem}", problem.details)
            lost.add(Path(record.path).name, reason)
        else:
            records.append(record)
    if not records:
        raise ValueError(
            f"Expected at least one picture that can be written as {writer.title}. "
            f"Received: {lost.summary() if lost.lines else 'no pictures'}"
        )
    return dataclasses.replace(data, records=records)


def _check_picture(record: ImageRecord, writer: Writer, lost: Problems) -> None:
    header = picture_header(record.path)
    size = upright_size(header.height, header.width, header.orientation)
    if size != (record.height, record.width):
        raise ItemError(
            "annotated height and width are not the picture's",
            f" ({record.height} x {record.width}, but it has {size[0]} x {size[1]})",
        )
    if header.orientation != 1 and not writer.is_turned:
        lost.add(
            Path(record.path).name,
            ItemError(
                "annotations are of the picture as its EXIF orientation shows it, which not every "
                f"tool for {writer.title} applies",
                f" (orientation {header.orientation})",
            ),
        )


def _parts(
    splits: Mapping[str, DetectionData], writer: Writer, is_numbered: bool, lost: Problems
) -> list[Part]:
    """The splits with their pictures' names, which are unique within a folder."""
    together: dict[PurePath, list[ImageRecord]] = defaultdict(list)
    for split, data in splits.items():
        together[writer.picture_folder(split)] += data.records
    names = {}
    for folder, records in together.items():
        paths = [record.path for record in records]
        names[folder] = iter(
            picture_names(paths, keeps_spaces=writer.keeps_spaces, is_numbered=is_numbered)
        )
    parts = []
    for split, data in splits.items():
        mine = names[writer.picture_folder(split)]
        part = Part(split, data, [next(mine) for _ in data.records])
        for name, record in part.pictures():
            if name != Path(record.path).name and not is_numbered:
                lost.add(Path(record.path).name, ItemError("picture has a new name", f" ({name})"))
        parts.append(part)
    return parts
