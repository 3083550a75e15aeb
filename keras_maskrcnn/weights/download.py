"""Fetching published files, whole or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import keras


def fetch(url: str, checksum: str, algorithm: str) -> Path:
    """Downloads a file once, into Keras' cache, and checks it.

    Args:
        url: of the file.
        checksum: first hexadecimal digits of its checksum, as publishers put into file names;
            empty where none is published: then nothing is checked.
        algorithm: of `hashlib`.

    Returns:
        Its path.

    Raises:
        ValueError: when the file is not the one that was published; it is removed, so that the
            next call downloads it anew.
    """
    # Publishers use one file name for unlike models: the folder above tells them apart.
    *_, folder, name = url.split("/")
    cached = f"{folder}_{name}"
    path = Path(keras.utils.get_file(cached, origin=url, cache_subdir="models"))
    check(path, checksum, algorithm, remove=True)
    return path


def check(path: Path, checksum: str, algorithm: str, *, remove: bool = False) -> None:
    """Raises `ValueError` when a file's checksum does not start with `checksum`.

    Args:
        path: of the file.
        checksum: first hexadecimal digits.
        algorithm: of `hashlib`.
        remove: also delete such a file.
    """
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if not found.startswith(checksum):
        if remove:
            path.unlink()
        raise ValueError(
            f"{path} is not the published file: its {algorithm} should start with {checksum}. "
            f"Received: {found}"
        )
