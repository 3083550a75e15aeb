"""Which picture of an archive is which of an annotation file."""

from __future__ import annotations

import logging
import posixpath
from pathlib import Path
from typing import Any

from keras_maskrcnn.evaluation.checks import is_id, shown
from keras_maskrcnn.evaluation.truth_file import AnnotationFile

logger = logging.getLogger("keras_maskrcnn")

_NAMED = 3


class ArchivePictures:
    """Finds annotated pictures by their paths.

    Args:
        folder: of the archive, for messages.
        truth: whose pictures are looked for.

    Attributes:
        image_ids: the annotations' id of each picture by its number in the archive; `None` for one
            that they lack.

    Raises:
        ValueError: when annotated pictures have no file names, or two the same.
    """

    def __init__(self, folder: Path, truth: AnnotationFile) -> None:
        self.image_ids: dict[Any, int | None] = {}
        self._folder, self._truth = folder, truth
        self._ids = {_normal(name): image_id for image_id, name in truth.file_names.items()}
        if len(self._ids) != len(truth.sizes):
            raise ValueError(
                f"{truth.file}: expected a file_name of its own for each image, by which the "
                f"pictures of {folder} are found. Received: {len(self._ids)} names of "
                f"{len(truth.sizes)} images"
            )
        self._paths: dict[int, str] = {}
        self._unread: list[str] = []

    def add(self, picture: dict[str, Any], place: str) -> None:
        """Takes a row of a table of pictures.

        Args:
            picture: the row.
            place: what an error calls it.

        Raises:
            ValueError: when it is none, of another size than the annotated picture, or that was
                there before.
        """
        number, path = picture.get("id"), picture.get("file_name")
        if not is_id(number) or number in self.image_ids or not isinstance(path, str):
            raise ValueError(
                f"{place}: expected an id of its own and a file_name. Received: "
                f"id={shown(number)}, file_name={shown(path)}"
            )
        image_id = self._find(path)
        self.image_ids[number] = image_id
        if image_id is None:
            return
        if image_id in self._paths:
            raise ValueError(
                f"{place}: expected each annotated picture once. Received: {path} and "
                f"{self._paths[image_id]}, both of which are image id {image_id} of "
                f"{self._truth.file}"
            )
        self._paths[image_id] = path
        if picture.get("error") is not None:
            self._unread.append(path)
            return
        size, expected = (picture.get("height"), picture.get("width")), self._truth.sizes[image_id]
        if expected is not None and size != expected:
            raise ValueError(
                f"{place}: expected {path} to have height and width {expected}, as annotated in "
                f"{self._truth.file}. Received: {size}"
            )

    def finish(self) -> None:
        """Call it after the last row.

        Raises:
            ValueError: when annotated pictures were not predicted.
        """
        missing = [i for i in self._truth.sizes if i not in self._paths]
        if missing:
            names = ", ".join(self._truth.file_names[i] for i in missing[:_NAMED])
            raise ValueError(
                f"{self._folder}: expected all {len(self._truth.sizes)} pictures of "
                f"{self._truth.file}. Received: none for {len(missing)} of them, such as {names}"
            )
        if self._unread:
            logger.warning(
                "%s: %d pictures could not be read, and count as pictures in which nothing was "
                "found: %s",
                self._folder,
                len(self._unread),
                ", ".join(self._unread[:_NAMED]),
            )

    def _find(self, path: str) -> int | None:
        """The annotated picture whose name is the longest end of a path."""
        parts = _normal(path).split("/")
        tails = ("/".join(parts[start:]) for start in range(len(parts)))
        return next((self._ids[tail] for tail in tails if tail in self._ids), None)


def _normal(path: str) -> str:
    return posixpath.normpath(path.replace("\\", "/"))
