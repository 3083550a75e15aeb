"""Finds pictures in a folder and all below it, by as much of their names as is needed."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any

from keras_maskrcnn.data.formats.problems import ItemError, MissingPictureError, shown
from keras_maskrcnn.images.formats import is_picture_name, picture_formats

_SUFFIXES = sorted(suffix for format in picture_formats() for suffix in format.suffixes)
# Ultralytics keeps what it decoded beside each picture: only where an annotation says so, or there
# is nothing else, is that the picture.
_OF_CACHES = ".npy"
_LONGEST_NAME = 4096


def listed_files(folder: Path) -> list[Path]:
    """The regular files of a folder and all below it, in the order of their names.

    Hidden ones and those of macOS' archives (`._a.jpg`, `__MACOSX`) are passed over, and so are
    pipes and devices, which may be read without end; links to folders are not followed.
    """
    found: list[Path] = []
    places = [folder]
    while places:
        place = places.pop()
        try:
            with os.scandir(place) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError:
            continue
        entries = [e for e in entries if not e.name.startswith(".") and e.name != "__MACOSX"]
        found += [Path(entry.path) for entry in entries if _is_file(entry)]
        folders = [Path(e.path) for e in entries if e.is_dir(follow_symlinks=False)]
        places += reversed(folders)
    return found


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # A link to itself.
        return False


def without_caches(pictures: Sequence[Path]) -> list[Path]:
    """The pictures without NumPy files that lie beside another picture of the same stem."""
    caches = {p for p in pictures if p.name.lower().endswith(_OF_CACHES)}
    if not caches:
        return list(pictures)
    others = {p.with_suffix("") for p in pictures if p not in caches}
    return [p for p in pictures if p not in caches or p.with_suffix("") not in others]


def split_name(name: str) -> tuple[str, ...]:
    """The parts of a path that was written on any system, without what leads out of a folder."""
    pure: PurePath = PureWindowsPath(name) if "\\" in name else PurePosixPath(name)
    return tuple(part for part in pure.parts if part not in (pure.anchor, "..", "."))


class PictureTree:
    """The pictures below a folder; none is opened.

    Annotations name pictures by paths of the machine on which they were made, or of a storage. So
    a name is found by its end: the longest end of its path that any picture has. Where several
    have it, they are named, and none is guessed.

    Args:
        folder: the folder; it may be reached by a link.
        files: its files, where they are known; by default it is listed.
    """

    def __init__(self, folder: Path, files: Iterable[Path] | None = None) -> None:
        self.folder = folder
        self._root = os.path.realpath(folder)
        self._places: dict[str, list[Path]] = defaultdict(list)
        listed = listed_files(folder) if files is None else files
        named = [file for file in listed if is_picture_name(file)]
        self.pictures = without_caches(named)
        for picture in named:
            self._places[picture.name.casefold()].append(picture)

    def find(self, name: Any, near: Sequence[Path] = ()) -> str:
        """The path of a picture.

        Args:
            name: path as an annotation has it, also of Windows or absolute.
            near: folders in which it is looked for first, as a path relative to them.

        Raises:
            ItemError: if it is no path, no picture has it, or several have.
        """
        if not isinstance(name, str) or len(name) > _LONGEST_NAME or "\0" in name:
            raise ItemError("file_name is no path", f" ({shown(name)})")
        parts = split_name(name)
        if not parts:
            raise ItemError("file_name is no path", f" ({shown(name)})")
        return self.checked(self._nearest(self._places.get(parts[-1].casefold(), []), parts, near))

    def with_stem(self, parts: tuple[str, ...], near: Sequence[Path] = ()) -> str:
        """The path of a picture of which the last suffix is not known; see `find`."""
        stem = parts[-1].casefold()
        found = [self._places.get(f"{stem}{suffix}", []) for suffix in _SUFFIXES]
        places = without_caches([place for group in found for place in group])
        return self.checked(self._nearest(places, parts, near))

    def _nearest(self, places: list[Path], parts: tuple[str, ...], near: Sequence[Path]) -> Path:
        if len(places) == 1:
            return places[0]
        for folder in near:
            beside = [p for p in places if p.parent == folder.joinpath(*parts[:-1])]
            if beside:
                places = beside
                break
        # Of names that differ in case only, the exact one.
        exact = [p for p in places if p.name == parts[-1]]
        places = exact if exact else places
        for length in range(2, len(parts) + 1):
            end = parts[-length:-1]
            longer = [p for p in places if p.parts[-length:-1] == end]
            if not longer:
                break
            places = longer
        if not places:
            where = f" ({shown('/'.join(parts))} in {self.folder})"
            raise MissingPictureError("picture is missing", where)
        if len(places) > 1:
            named = ", ".join(str(place) for place in places[:2])
            raise ItemError("several pictures have its name", f" ({shown(named)})")
        return places[0]

    def checked(self, path: Path) -> str:
        """The path of one of the listed files; `ItemError` if it is a link that leads out."""
        if not path.is_symlink():
            return str(path)
        target = os.path.realpath(path)
        if os.path.commonpath([self._root, target]) != self._root:
            where = f" ({shown(str(path))})"
            raise ItemError("file_name leads out of the picture folder", where)
        return str(path)
