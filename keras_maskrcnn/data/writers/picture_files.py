"""The pictures of a data set in its new folder: what they are called, and how they get there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from keras_maskrcnn.data.picture_files import is_embedded, open_picture_file, read_picture_file
from keras_maskrcnn.data.shard_files import shard_place


def picture_names(
    paths: Sequence[str], *, keeps_spaces: bool = True, is_numbered: bool = False
) -> list[str]:
    """Names for pictures that come into one folder, of which each stem is there once.

    Annotations are called by the stem of their picture. Where several pictures have one (in any
    case: not all file systems tell `A` and `a` apart), the folder they come from goes before it.

    Args:
        paths: of the pictures.
        keeps_spaces: whether names may have white space, which else becomes `_`.
        is_numbered: whether each name begins with the picture's place, from 1.
    """
    digits = len(str(len(paths)))
    names = []
    taken: set[str] = set()
    for place, path in enumerate(map(Path, paths), 1):
        stem = path.stem
        if stem.casefold() in taken:
            stem = f"{path.parent.name}_{stem}"
        if is_numbered:
            stem = f"{place:0{digits}}_{stem}"
        if not keeps_spaces:
            stem = "_".join(stem.split())
        base, number = stem, 2
        while stem.casefold() in taken:
            stem, number = f"{base}_{number}", number + 1
        taken.add(stem.casefold())
        names.append(stem + _suffix(path))
    return names


def _suffix(path: Path) -> str:
    if not is_embedded(path):
        return path.suffix
    kind = open_picture_file(path)[1].format
    return {"JPEG": ".jpg"}.get(kind, f".{kind.lower()}")


def place_picture(source: str, target: Path, *, link: bool) -> None:
    """Copies a picture, or makes a hard link of it; one that is embedded in JSON, or lies
    in a shard, becomes a file.

    A symbolic link would break with either folder's move, and readers of data that nobody vouches
    for do not follow one out of its folder.

    Raises:
        ValueError: if it cannot be linked, such as to another file system.
    """
    if is_embedded(source) or shard_place(source) is not None:
        target.write_bytes(read_picture_file(source))
        return
    if not link:
        shutil.copyfile(source, target)
        return
    try:
        os.link(os.path.realpath(source), target)
    except OSError as error:
        raise ValueError(
            f"The picture {source} cannot be linked to {target} ({error.strerror}): copy it instead"
        ) from error
