"""Tables of an archive, row by row, and again by where a row stands."""

from __future__ import annotations

import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keras_maskrcnn.optional import needed_for

_ROWS = 1000


class Table(ABC):
    """One file of rows.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def scan(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """All rows, each with the place by which `read` finds it.

        Raises:
            ValueError: when the file is broken; the message names it.
        """

    @abstractmethod
    def read(self, places: Sequence[int]) -> list[dict[str, Any]]:
        """The rows at some places."""


class JsonLines(Table):
    """A JSON object a line; a place is where a line begins, in bytes."""

    def scan(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """All rows."""
        with open(self.path, "rb") as file:
            place = 0
            for number, line in enumerate(file, 1):
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise ValueError(f"{self.path}, line {number}: {error}") from error
                if not isinstance(row, dict):
                    raise ValueError(
                        f"{self.path}, line {number}: expected a JSON object. "
                        f"Received: {line!r:.60}"
                    )
                yield place, row
                place += len(line)

    def read(self, places: Sequence[int]) -> list[dict[str, Any]]:
        """The rows at some places."""
        rows = []
        with open(self.path, "rb") as file:
            for place in places:
                file.seek(place)
                rows.append(json.loads(file.readline()))
        return rows


class Parquet(Table):
    """A Parquet file; a place is the number of a row."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with needed_for("Parquet", "maskrcnn-keras[parquet]"):
            import pyarrow
            import pyarrow.parquet
        self._errors = pyarrow.ArrowException

    def scan(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """All rows."""
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self.path) as file:
                batches = (batch.to_pylist() for batch in file.iter_batches(_ROWS))
                yield from enumerate(itertools.chain.from_iterable(batches))
        except (self._errors, OSError) as error:
            raise ValueError(f"{self.path} is no Parquet that can be read: {error}") from error

    def read(self, places: Sequence[int]) -> list[dict[str, Any]]:
        """The rows at some places."""
        import pyarrow.parquet as pq

        return pq.read_table(self.path).take(list(places)).to_pylist()


TABLES: dict[str, type[Table]] = {"jsonl": JsonLines, "parquet": Parquet}
