"""Finds pictures by the names that an annotation file gives them."""

from __future__ import annotations

import os
from pathlib import Path, PurePath
from typing import Any

from keras_maskrcnn.data.formats.problems import ItemError, MissingPictureError, shown

# PATH_MAX of Linux; a name of megabytes would also take minutes to follow.
_LONGEST_NAME = 4096


class PictureFolder:
    """The pictures of a folder; none is opened, and nothing outside the folder is touched.

    A folder's content is listed once, which for thousands of pictures is much faster than asking
    for each.

    Args:
        folder: the folder; it may be reached by a link.

    Raises:
        ValueError: if it is no folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise ValueError(
                f"Expected image_dir to be a folder. Received: image_dir={str(folder)!r}"
            )
        self._root = os.path.realpath(folder)
        self._listings: dict[Path, dict[str, os.DirEntry[str]]] = {}

    def find(self, name: Any) -> str:
        """The path of a picture.

        Args:
            name: path relative to the folder, as the file has it.

        Raises:
            ItemError: if it is no such path, leads out of the folder (by `..` or links, or being
                absolute), or there is no regular file.
        """
        if not isinstance(name, str) or not _is_path(name):
            raise ItemError("file_name is no path", f" ({shown(name)})")
        relative = PurePath(name)
        if relative.anchor or ".." in relative.parts:
            raise ItemError("file_name leads out of the picture folder", f" ({shown(name)})")
        path = self.folder / relative
        where = f" ({shown(str(path))})"
        entry = self._listing(path.parent, where).get(path.name)
        if entry is None:
            raise MissingPictureError("picture is missing", where)
        if entry.is_symlink():
            target = os.path.realpath(path)
            self._require_inside(target, where)
            if not os.path.exists(target):
                raise MissingPictureError("picture is missing", where)
            is_file = os.path.isfile(target)
        else:
            is_file = entry.is_file(follow_symlinks=False)
        if not is_file:
            raise ItemError("picture is no regular file", where)
        return str(path)

    def _listing(self, folder: Path, where: str) -> dict[str, os.DirEntry[str]]:
        if folder not in self._listings:
            self._require_inside(os.path.realpath(folder), where)
            try:
                with os.scandir(folder) as entries:
                    self._listings[folder] = {entry.name: entry for entry in entries}
            except (FileNotFoundError, NotADirectoryError):
                self._listings[folder] = {}
            except OSError as error:
                raise ItemError("picture cannot be reached", f"{where}: {error.strerror}") from None
        return self._listings[folder]

    def _require_inside(self, path: str, where: str) -> None:
        if os.path.commonpath([self._root, path]) != self._root:
            raise ItemError("file_name leads out of the picture folder", where)


def _is_path(name: str) -> bool:
    try:
        length = len(os.fsencode(name))  # Fails for text that no file system can hold.
    except UnicodeEncodeError:
        return False
    return length <= _LONGEST_NAME and "\0" not in name and bool(PurePath(name).parts)
