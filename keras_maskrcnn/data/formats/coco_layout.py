"""How COCO's files and pictures lie in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keras_maskrcnn.data.formats.coco_file import looks_like_coco
from keras_maskrcnn.data.formats.reader import SPLITS
from keras_maskrcnn.data.formats.source import Source

# A folder with more JSON files holds one for each picture.
_MOST_FILES = 64
_KINDS = ("instances_", "panoptic_")


def coco_files(source: Source) -> list[Path]:
    """The files that look like COCO's."""
    return [file for file in source.with_suffix(".json")[:_MOST_FILES] if looks_like_coco(file)]


def splits_of(files: Sequence[Path], source: Source) -> dict[str, Source]:
    """The splits by name.

    Raises:
        ValueError: if two files are of one.
    """
    parts: dict[str, Source] = {}
    for file in files:
        name = _split_name(file, source)
        if name in parts:
            raise ValueError(
                f"{source.path}: expected one COCO file for each split. Received: "
                f"{parts[name].path} and {file}"
            )
        parts[name] = source.part(file)
    return parts if source.path.is_dir() else {}


def picture_folders(source: Source) -> list[Path]:
    """Where the pictures of a file lie, if its name tells."""
    split = _without_kind(source.path.stem)
    return [source.root / split, source.root / "images" / split, source.root / "images"]


def _split_name(file: Path, source: Source) -> str:
    """`train` of `train/_annotations.coco.json`, `train2017` of `instances_train2017.json`."""
    if file.parent.name.lower() in SPLITS and file.parent != source.path:
        return file.parent.name
    return _without_kind(file.stem)


def _without_kind(stem: str) -> str:
    for kind in _KINDS:
        stem = stem.removeprefix(kind)
    return stem
