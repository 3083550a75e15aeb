"""A file or folder that a user named, looked at once for all readers."""

from __future__ import annotations

import os
from collections import defaultdict
from functools import cached_property
from pathlib import Path
from typing import Any

from keras_maskrcnn.data.formats.coco_file import looks_like_coco
from keras_maskrcnn.data.formats.json_file import read_json
from keras_maskrcnn.data.formats.picture_tree import PictureTree, listed_files

# Of each kind of file, so many are opened to tell a format.
_SAMPLES = 3
_HEAD_BYTES = 4096


class Source:
    """What lies under a path.

    Args:
        path: an annotation file, or a folder with annotations.
        root: folder below which the pictures lie; by default `path`, or the folder of that file.
        split: name of the split that is read, for formats that list several in one place.
    """

    def __init__(self, path: Path, *, root: Path | None = None, split: str | None = None) -> None:
        self.path = path
        self.root = root or (path if path.is_dir() else path.parent)
        self.split = split
        self._parsed: dict[Path, Any] = {}

    def part(self, path: Path, split: str | None = None) -> Source:
        """A part of the same data set: one of its files or folders, or a split by name."""
        made = Source(path, root=self.root, split=split)
        if path == self.path:
            made.files, made.pictures = self.files, self.pictures
        return made

    @cached_property
    def files(self) -> list[Path]:
        """The file, or those of the folder and all below it, sorted, without hidden ones."""
        return listed_files(self.path) if self.path.is_dir() else [self.path]

    @cached_property
    def pictures(self) -> PictureTree:
        """The pictures below `root`."""
        return PictureTree(self.root, self.files if self.path == self.root else None)

    def with_suffix(self, *suffixes: str) -> list[Path]:
        """The files whose names end so, in any case."""
        groups = [self._by_suffix.get(suffix, []) for suffix in suffixes]
        return groups[0] if len(groups) == 1 else sorted(f for group in groups for f in group)

    @cached_property
    def _by_suffix(self) -> dict[str, list[Path]]:
        groups = defaultdict(list)
        for file in self.files:
            groups[os.path.splitext(file.name)[1].lower()].append(file)
        return groups

    def samples(self, *suffixes: str) -> list[Path]:
        """The first few of these files."""
        return self.with_suffix(*suffixes)[:_SAMPLES]

    def json(self, file: Path) -> Any:
        """What a JSON file holds; it is parsed once.

        Raises:
            ValueError: as `read_json`.
        """
        if file not in self._parsed:
            self._parsed[file] = read_json(file)
        return self._parsed[file]

    def forget(self, file: Path) -> None:
        """Gives the memory of a parsed file back."""
        self._parsed.pop(file, None)

    @cached_property
    def documents(self) -> list[Any]:
        """What the first few JSON files hold; those that cannot be read are passed over, and so
        are COCO's, of which one may take a minute to read."""
        found = []
        for file in self.samples(".json"):
            if looks_like_coco(file):
                continue
            try:
                found.append(self.json(file))
            except (ValueError, OSError):
                continue
        return found

    def heads(self, *suffixes: str) -> list[str]:
        """How the first few of these files begin: some thousand characters each."""
        found = []
        for file in self.samples(*suffixes):
            try:
                with open(file, "rb") as stream:
                    found.append(stream.read(_HEAD_BYTES).decode("utf-8", "replace"))
            except OSError:
                continue
        return found

    def name_of(self, file: Path) -> str:
        """A file's path below the folder, as messages have it."""
        base = self.path if self.path.is_dir() else self.path.parent
        return str(file.relative_to(base))
