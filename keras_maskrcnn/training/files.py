"""Files that are whole or not there: written aside, forced to the disk, then renamed."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Writes a file that appears, or takes the place of an older one, in one step.

    Gives the path to write to, of the same name in a hidden folder beside: whatever its writer
    puts there too (Keras does, with little memory) goes with that folder. Only a process that is
    killed leaves it; see `remove_partials`.

    Args:
        path: of the file that shall appear.

    Raises:
        OSError: when it cannot be written, as on a full disk; the message names it. What was
            there before is still there.

    Example:

    >>> with replacing("history.csv") as partial:
    ...     partial.write_text("epoch,loss\\n")
    """
    path = Path(path)
    aside = path.parent / f".{path.name}.partial"
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        partial = aside / path.name
        yield partial
        # A name that reaches the disk before its content would be a half-written file after all.
        _force_to_disk(partial)
        os.replace(partial, path)
        _force_to_disk(path.parent)
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise OSError(f"Cannot write {path}: {reason}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def remove_partials(folder: Path) -> list[str]:
    """Removes what killed processes left half written in a folder; gives the files' names."""
    found = sorted(item for item in folder.iterdir() if is_partial(item))
    for item in found:
        shutil.rmtree(item)
    return [item.name.removeprefix(".").removesuffix(".partial") for item in found]


def is_partial(path: Path) -> bool:
    """Whether this is a folder in which `replacing` writes."""
    return path.name.startswith(".") and path.suffix == ".partial" and path.is_dir()


def _force_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
