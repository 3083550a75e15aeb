"""What files are called that a command writes, one for each that it was given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def output_names(files: Sequence[Path], suffix: str) -> list[str]:
    """A name for each file; the extension stays in it where two would be called the same.

    Args:
        files: that were given.
        suffix: of the names, such as `".png"`.
    """
    stems = [file.stem for file in files]
    names: list[str] = []
    for file, stem in zip(files, stems, strict=True):
        name = stem if stems.count(stem) == 1 else f"{file.parent.name}_{file.name}"
        while f"{name}{suffix}" in names:
            name += "_"
        names.append(f"{name}{suffix}")
    return names
