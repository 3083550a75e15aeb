"""What a reader of an annotation format owes, the readers by name, and one reading."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any, ClassVar, TypeVar

from keras_maskrcnn.checks import nearest
from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.formats.collector import Collector
from keras_maskrcnn.data.formats.source import Source
from keras_maskrcnn.data.garbage import no_garbage_collection

SPLITS = ("train", "training", "val", "valid", "validation", "test")


class Reader(ABC):
    """Reads one annotation format.

    A subclass says whether something looks like its format, and reads it into a `Collector`. It is
    registered with `FORMATS.register`:

        @FORMATS.register("csv")
        class CsvReader(Reader):
            title = "CSV of boxes"
            ...

    Settings that one of its files may need are keywords of its constructor, each with a default;
    `load_dataset` passes them on.

    Attributes:
        title: what the format is called, for messages.
    """

    title: ClassVar[str]

    @abstractmethod
    def finds(self, source: Source) -> bool:
        """Whether this looks like the format; tells cheaply, and never raises."""

    @abstractmethod
    def read(self, source: Source, found: Collector) -> None:
        """Adds pictures and objects to `found`.

        An item that cannot be used is an `ItemError` within `found.item(name)`; what makes all
        the rest useless is a `ValueError` that names the file.
        """

    def splits(self, source: Source) -> dict[str, Source]:
        """The splits by name; none where all is one data set.

        By default the folders `train`, `val` and so on, directly below, that look like the format.
        """
        if not source.path.is_dir():
            return {}
        places = [place for place in sorted(source.path.iterdir()) if place.is_dir()]
        found = {p.name: Source(p) for p in places if p.name.lower() in SPLITS}
        return {name: part for name, part in found.items() if self.finds(part)}


ReaderClass = TypeVar("ReaderClass", bound=type[Reader])


class Formats:
    """The readers by name."""

    def __init__(self) -> None:
        self._readers: dict[str, type[Reader]] = {}

    def register(self, name: str) -> Callable[[ReaderClass], ReaderClass]:
        """Class decorator: `load_dataset` finds the format, and takes `format=name`."""

        def add(cls: ReaderClass) -> ReaderClass:
            self._readers[name] = cls
            return cls

        return add

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._readers))

    def make(self, name: str, **settings: Any) -> Reader:
        """The reader of that name; `ValueError` with the nearest name for an unknown one."""
        if name not in self._readers:
            raise ValueError(
                f"format must be 'auto' or one of {self.names}.{nearest(name, self.names)} "
                f"Received: format={name!r}"
            )
        cls = self._readers[name]
        known = [k for k, p in signature(cls).parameters.items() if p.kind is p.KEYWORD_ONLY]
        for key in settings:
            if key not in known:
                raise ValueError(
                    f"The format {name!r} takes the settings {known}.{nearest(key, known)} "
                    f"Received: {key}={settings[key]!r}"
                )
        return cls(**settings)

    def that_find(self, source: Source) -> dict[str, Reader]:
        """The readers to which the source looks like their own, by name."""
        readers = {name: self.make(name) for name in self.names}
        return {name: reader for name, reader in readers.items() if reader.finds(source)}


FORMATS = Formats()


def run_reader(
    reader: Reader,
    source: Source,
    *,
    find: Callable[..., str] | None = None,
    class_names: Sequence[str] | None = None,
    on_error: str = "warn",
    orientation: str = "auto",
    stacklevel: int = 3,
) -> DetectionData:
    """Reads a source; the items that are left out become one warning or one error.

    Args:
        reader: of its format.
        source: what is read.
        find: gives the path of a picture by its name; by default among `source.pictures`.
        class_names: the classes in their order; by default the format's or, without, by alphabet.
        on_error: `"warn"` or `"raise"`.
        orientation: see `Frames`.
        stacklevel: of the warning: how far up the caller is that it is meant for.

    Raises:
        ValueError: for another `on_error` or `orientation`, or what the reader or
            `Collector.build` refuse.
    """
    if on_error not in ("warn", "raise"):
        raise ValueError(f"Expected on_error to be 'warn' or 'raise'. Received: {on_error=}")
    find = find or (lambda *name: source.pictures.find(*name))
    found = Collector(source.path, find, class_names, orientation)
    name = source.path.stem if source.path.is_file() else source.path.resolve().name
    with no_garbage_collection():
        reader.read(source, found)
        data = found.build(f"{name}_{source.split}" if source.split else name)
    for note in data.notes:
        warnings.warn(f"{source.path}: {note}", UserWarning, stacklevel=stacklevel)
    if found.problems.lines:
        if on_error == "raise":
            raise ValueError(found.problems.summary())
        told = f"{found.problems.summary()}; see DetectionData.warnings"
        warnings.warn(told, UserWarning, stacklevel=stacklevel)
    return data
