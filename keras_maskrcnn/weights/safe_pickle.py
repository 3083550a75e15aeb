"""Unpickling files that other people wrote."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any


class UnsafeFileError(ValueError):
    """A weights file asks for code that no weights need."""


class AllowListUnpickler(pickle.Unpickler):
    """Unpickler that knows a short list of names and refuses all others.

    A pickle is a program: `pickle.load` runs whatever function the file names. Here every name
    is looked up in `allowed`, never imported.

    Args:
        file: open binary file.
        path: for messages.
        allowed: `"module.name"` to the object that stands for it.
        persistent_load: resolves the file's references to data outside the pickle.
        encoding: of Python 2 strings.

    Raises:
        UnsafeFileError: on loading, when the file names anything else.
    """

    def __init__(
        self,
        file: IO[bytes],
        path: Path,
        allowed: Mapping[str, Any],
        *,
        persistent_load: Callable[[Any], Any] | None = None,
        encoding: str = "ASCII",
    ) -> None:
        super().__init__(file, encoding=encoding)
        self._path = path
        self._allowed = allowed
        self._persistent_load = persistent_load

    def find_class(self, module: str, name: str) -> Any:
        full_name = f"{module}.{name}"
        if full_name not in self._allowed:
            raise UnsafeFileError(
                f"{self._path} is refused: it asks to run {full_name!r}, which weights do not "
                "need. The file may be malicious, or may hold more than weights (a whole pickled "
                f"model, say). Known names: {', '.join(sorted(self._allowed))}"
            )
        return self._allowed[full_name]

    def persistent_load(self, reference: Any) -> Any:
        if self._persistent_load is None:
            raise UnsafeFileError(
                f"{self._path} is refused: it refers to data outside the pickle, {reference!r}"
            )
        return self._persistent_load(reference)


def load_restricted(unpickler: AllowListUnpickler, path: Path) -> Any:
    """The unpickled object; whatever a damaged file provokes becomes a `ValueError`."""
    try:
        return unpickler.load()
    except UnsafeFileError:
        raise
    except Exception as error:  # a broken pickle program may raise anything
        raise ValueError(
            f"{path} is not readable as pickled weights: {type(error).__name__}: {error}"
        ) from error
