"""What a writer of an annotation format owes, and the writers by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import ClassVar, TypeVar

from keras_maskrcnn.checks import one_of
from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.formats.problems import Problems
from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.data.writers.picture_files import place_picture

# Attribute of an object that a model found, 0..1.
SCORE = "score"
# What is one data set is there to train on, where a format must give it a name.
UNDIVIDED = "train"


@dataclass(frozen=True)
class Part:
    """One split of what is written.

    Args:
        split: its name; empty where all is one data set.
        data: its pictures and objects.
        names: what each picture's file is called in the new folder.
    """

    split: str
    data: DetectionData
    names: Sequence[str]

    def pictures(self) -> Iterator[tuple[str, ImageRecord]]:
        """Each record with its file's name."""
        return zip(self.names, self.data.records, strict=True)


class Writer(ABC):
    """Writes one annotation format; its reader in `data.formats` reads it back.

    What the format cannot hold is added to `lost`, an item for each object or picture. It is
    registered with `register`.

    Attributes:
        title: what the format is called, for messages.
        is_turned: whether all its tools show a picture as its EXIF orientation turns it.
        keeps_spaces: whether the name of a picture may have spaces in it.
    """

    title: ClassVar[str]
    is_turned: ClassVar[bool] = True
    keeps_spaces: ClassVar[bool] = True

    def check_classes(self, names: Sequence[str]) -> None:  # noqa: B027
        """`ValueError` for classes that the format cannot name; most take all."""

    @abstractmethod
    def picture_folder(self, split: str) -> PurePath:
        """Where the pictures of a split lie within the new folder."""

    def in_shards(self, count: int) -> Writer:
        """A writer of so many files for each split; `ValueError` for formats without shards."""
        raise ValueError(
            "Expected shards only with format='tfrecord'. "
            f"Received: shards={count} for {self.title}"
        )

    def place_pictures(self, folder: Path, part: Part, *, link: bool) -> None:
        """Puts the pictures of a split into the new folder; see `place_picture`."""
        target = folder / self.picture_folder(part.split)
        target.mkdir(parents=True, exist_ok=True)
        for name, record in part.pictures():
            place_picture(record.path, target / name, link=link)

    @abstractmethod
    def write(self, folder: Path, parts: Sequence[Part], lost: Problems) -> None:
        """Writes the annotations; the folder and the pictures are there.

        Args:
            folder: the new folder.
            parts: the splits, of the same classes; one without a name where all is one.
            lost: receives what is left out or changed.
        """


WRITERS: dict[str, Writer] = {}
WriterClass = TypeVar("WriterClass", bound=type[Writer])


def register(name: str) -> Callable[[WriterClass], WriterClass]:
    """Class decorator: `save_dataset` takes `format=name`."""

    def add(cls: WriterClass) -> WriterClass:
        WRITERS[name] = cls()
        return cls

    return add


def find_writer(name: str) -> Writer:
    """The writer of that name; `ValueError` with the nearest name for an unknown one."""
    one_of("format", name, sorted(WRITERS))
    return WRITERS[name]


def item_of(name: str, instance: Instance) -> str:
    """An object's name for messages."""
    return f"{name}, object {instance.annotation_id}"
