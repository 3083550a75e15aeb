"""Which pixels annotations count where a picture has an EXIF orientation, and how they are turned.

This is the one place where an EXIF orientation meets annotations. All records are of upright
pictures (`images.orientation`). While a file is read, a record is of the picture as the annotations
see it, its frame, so that they can be held against its size; at the end it is brought upright.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_maskrcnn.checks import one_of
from keras_maskrcnn.data.formats.problems import ItemError, shown
from keras_maskrcnn.data.headers import PictureHeader
from keras_maskrcnn.data.moving import InstanceMover
from keras_maskrcnn.data.picture_files import most_pixels, read_picture_header
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.images.orientation import stored_to_upright, upright_size

ORIENTATIONS = ("auto", "upright", "stored")
OTHER_SIZE = "annotated height and width are not the picture's"

Size = tuple[int, int]


@dataclasses.dataclass
class _Turned:
    """A picture with an EXIF orientation.

    Args:
        orientation: 2 to 8.
        stored: height and width as it is stored.
        frame: which pixels its annotations count: `"upright"`, `"stored"`, or `"stretched"` (parts
            of the upright picture times the sides of the stored one); None where nothing told yet.
        by_tool: whether the tools of the format are known to show pictures upright.
    """

    orientation: int
    stored: Size
    frame: str | None
    by_tool: bool

    @property
    def upright(self) -> Size:
        return upright_size(*self.stored, self.orientation)

    def matrix(self) -> np.ndarray:
        """From the frame to the upright picture; see `stored_to_upright`."""
        if self.frame == "stored":
            return stored_to_upright(*self.stored, self.orientation)
        sides = np.array(self.upright) / np.array(self.stored)
        return np.array([[sides[1], 0.0, 0.0], [0.0, sides[0], 0.0]])


class Frames:
    """The frames of the pictures of one data set.

    Args:
        orientation: `"auto"`: the frame is told by the annotated size, or where that is the same
            either way, by the sizes of the data set's other pictures, or by what is known of the
            format's tools; `"upright"` or `"stored"` says it for all pictures.

    Raises:
        ValueError: for another `orientation`.
    """

    def __init__(self, orientation: str = "auto") -> None:
        one_of("orientation", orientation, ORIENTATIONS)
        self.orientation = orientation
        self._turned: dict[str, _Turned] = {}

    def size(
        self,
        path: str,
        *,
        annotated: Size | None = None,
        by_tool: bool = False,
        is_relative: bool = False,
    ) -> Size:
        """Height and width of a picture as its annotations see it; no pixel is decoded.

        Args:
            path: the picture; a regular file.
            annotated: height and width that the annotations give.
            by_tool: whether the tools of the format are known to show pictures upright.
            is_relative: whether the annotations are parts of the picture's sides, as it was shown:
                then `annotated` does not tell how that was.

        Raises:
            ItemError: if there is no picture or it is too large, or `annotated` is another size.
        """
        header = picture_header(path)
        most = most_pixels(path)
        if header.pixels > most:
            raise ItemError(f"picture has more than {most} pixels", f" ({shown(path)})")
        size = self._note(path, header, by_tool)
        if annotated is None:
            return size
        turned = self._turned.get(path)
        before = None if turned is None else turned.frame
        fitted = self.fit(path, size, annotated)
        if turned is None or not is_relative:
            return fitted
        turned.frame = before
        return size

    def note_size(self, path: str, annotated: Size, *, is_stretched: bool = False) -> None:
        """The same for a picture of which nothing else is checked yet: whether it can be read, and
        is of that size, is told where it is read.

        Args:
            path: the picture.
            annotated: height and width that the annotations give.
            is_stretched: whether a stored size means that parts of the upright picture were
                multiplied by it.
        """
        try:
            header = picture_header(path)
        except ItemError:
            return
        size = self._note(path, header, by_tool=False)
        try:
            self.fit(path, size, annotated)
        except ItemError:
            self._turned.pop(path, None)
        turned = self._turned.get(path)
        if turned is not None and is_stretched and turned.frame == "stored":
            turned.frame = "stretched"

    def fit(self, path: str, size: Size, annotated: Size, reason: str = OTHER_SIZE) -> Size:
        """The size of a picture's frame, once a size of its annotations is known.

        Args:
            path: the picture, of which `size` was asked.
            size: what that gave.
            annotated: height and width that the annotations have.
            reason: of the error.

        Raises:
            ItemError: if the picture has another size.
        """
        turned = self._turned.get(path)
        choices = {"": size}
        if turned is not None:
            choices = {"upright": turned.upright, "stored": turned.stored}
            if turned.frame is not None:
                choices = {turned.frame: choices[turned.frame]}
        fitting = [frame for frame, side in choices.items() if side == annotated]
        if not fitting:
            sizes = " or ".join(f"{h} x {w}" for h, w in dict.fromkeys(choices.values()))
            raise ItemError(
                reason,
                f" ({annotated[0]} x {annotated[1]}, not {sizes})",
            )
        if turned is not None and len(fitting) == 1:
            turned.frame = fitting[0]
        return annotated

    def _note(self, path: str, header: PictureHeader, by_tool: bool) -> Size:
        stored = header.height, header.width
        if header.orientation == 1:
            return stored
        frame = None if self.orientation == "auto" else self.orientation
        turned = _Turned(header.orientation, stored, frame, by_tool)
        self._turned[path] = turned
        return stored if frame == "stored" else turned.upright

    def brought_upright(
        self, records: Sequence[ImageRecord], flip_pairs: Sequence[tuple[int, int]]
    ) -> tuple[list[ImageRecord], list[str]]:
        """The records with their objects, all of upright pictures.

        Args:
            records: of the pictures' frames.
            flip_pairs: pairs of keypoint indices that a mirror exchanges.

        Returns:
            The records, and what was decided, for `DetectionData.notes`.
        """
        turned = [self._turned[record.path] for record in records if record.path in self._turned]
        told = {t.frame for t in turned if t.frame is not None}
        unsure, moved, result = [], [], []
        for record in records:
            picture = self._turned.get(record.path)
            if picture is None:
                result.append(record)
                continue
            if picture.frame is None:
                has_stored_size = (record.height, record.width) == picture.stored
                picture.frame = "stored" if told == {"stored"} and has_stored_size else "upright"
                if not told and not picture.by_tool and record.instances:
                    unsure.append(record)
            if picture.frame == "upright":
                result.append(record)
                continue
            moved.append(record)
            height, width = picture.upright
            mover = InstanceMover(picture.matrix(), (record.height, record.width), picture.upright)
            instances = mover.instances(record.instances, flip_pairs)
            result.append(
                dataclasses.replace(record, height=height, width=width, instances=instances)
            )
        return result, [*_moved_note(moved), *_unsure_note(unsure)]


def _moved_note(records: Sequence[ImageRecord]) -> list[str]:
    if not records:
        return []
    return [
        f"{len(records)} pictures, such as {_name(records[0])}, have an EXIF orientation and are "
        "annotated as they are stored: their objects are turned with them"
    ]


def _unsure_note(records: Sequence[ImageRecord]) -> list[str]:
    if not records:
        return []
    return [
        f"nothing tells whether the objects of {len(records)} pictures with an EXIF orientation, "
        f"such as {_name(records[0])}, were drawn on the upright picture or on the stored one: the "
        "former is taken; orientation='stored' takes the latter"
    ]


def _name(record: ImageRecord) -> str:
    return shown(Path(record.path).name)


def picture_header(path: str) -> PictureHeader:
    """What a picture file says of itself; `ItemError` where it cannot be read or is none."""
    try:
        return read_picture_header(path)
    except OSError as error:
        raise ItemError("picture cannot be read", f" ({shown(path)}: {error.strerror})") from None
    except ValueError as error:
        raise ItemError("picture cannot be read", f" ({shown(path)}: {error})") from None
