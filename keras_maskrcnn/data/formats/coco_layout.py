"""How COCO's files and pictures lie in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from keras_maskrcnn.data.formats.coco_file import is_panoptic, looks_like_coco
from keras_maskrcnn.data.formats.reader import SPLITS, Reader
from keras_maskrcnn.data.formats.source import Source

# A folder with more JSON files holds one for each picture.
_MOST_FILES = 64
_KINDS = ("instances_", "panoptic_")


class CocoFiles(Reader):
    """A reader of files with the three lists of COCO's, each of which is one split.

    Attributes:
        is_panoptic: whether it reads those that list segments of PNG files, or the others.
    """

    is_panoptic: ClassVar[bool]

    def finds(self, source: Source) -> bool:
        return bool(self._files(source))

    def splits(self, source: Source) -> dict[str, Source]:
        """The splits by name; see `Reader`.

        Raises:
            ValueError: if two files are of one.
        """
        parts: dict[str, Source] = {}
        for file in self._files(source):
            name = _split_name(file, source)
            if name in parts:
                raise ValueError(
                    f"{source.path}: expected one COCO file for each split. Received: "
                    f"{parts[name].path} and {file}"
                )
            parts[name] = source.part(file)
        return parts if source.path.is_dir() else {}

    def _files(self, source: Source) -> list[Path]:
        files = source.with_suffix(".json")[:_MOST_FILES]
        return [f for f in files if looks_like_coco(f) and is_panoptic(f) == self.is_panoptic]


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
