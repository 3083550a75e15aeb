"""Fetching published files, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

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
        OSError: when it cannot be downloaded.
        ValueError: when the file is not the one that was published; it is removed, so that the
            next call downloads it anew.
    """
    # Publishers use one file name for unlike models: the folder above tells them apart.
    *_, folder, name = url.split("/")
    path = download_file(url, f"{folder}_{name}", by_hand="weights_file=PATH (--weights-file PATH)")
    check(path, checksum, algorithm, remove=True)
    return path


def download_file(url: str, name: str, *, by_hand: str, **options: Any) -> Path:
    """Downloads a file into Keras' cache, unless it is there.

    Args:
        url: of the file.
        name: of the file in the cache.
        by_hand: how a user passes a file instead, for the message.
        **options: of `keras.utils.get_file`.

    Returns:
        Its path.

    Raises:
        OSError: when it cannot be had: with the URL, and what can be done without a network.
    """
    try:
        return Path(keras.utils.get_file(name, origin=url, cache_subdir="models", **options))
    except Exception as error:  # Keras raises plain `Exception` for a network that fails.
        place = _cache() / "models" / name
        # Keras' own text repeats the URL.
        reason = " ".join(str(error).rpartition(" -- ")[2].split())
        raise OSError(
            f"cannot download {url} ({reason}): where there is a network, download it and put it "
            f"at {place}, or give its path by {by_hand}"
        ) from error


def _cache() -> Path:
    """Where `keras.utils.get_file` keeps files; Keras has no public name for it."""
    home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    if os.access(home, os.W_OK):
        return home
    return Path("/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir(), ".keras")


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
