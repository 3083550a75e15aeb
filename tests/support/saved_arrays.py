"""What a saved model holds, byte for byte."""

from __future__ import annotations

import zipfile
from pathlib import Path

import h5py


def saved_arrays(file: Path) -> dict[str, bytes]:
    """All arrays of a `.keras` file: weights, optimizer, random states."""
    found = {}

    def add(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item[()].tobytes()

    with zipfile.ZipFile(file) as archive, archive.open("model.weights.h5") as content:
        h5py.File(content).visititems(add)
    return found
