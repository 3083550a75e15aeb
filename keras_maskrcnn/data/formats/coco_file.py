"""Tells COCO's files from others."""

from __future__ import annotations

from collections.abc import Sequence
from mmap import ACCESS_READ, mmap
from pathlib import Path

PARTS = ("images", "annotations", "categories")


def looks_like_coco(file: Path) -> bool:
    """Whether a file has the keys of COCO's.

    The bytes are searched, which takes no memory and a small part of the time of parsing them.
    """
    return _has_keys(file, PARTS)


def is_panoptic(file: Path) -> bool:
    """Whether a file that looks like COCO's lists segments of PNG files."""
    return _has_keys(file, ("segments_info",))


def _has_keys(file: Path, keys: Sequence[str]) -> bool:
    try:
        with open(file, "rb") as stream, mmap(stream.fileno(), 0, access=ACCESS_READ) as content:
            return all(content.find(b'"%s"' % key.encode()) >= 0 for key in keys)
    except (OSError, ValueError):  # An empty file cannot be mapped.
        return False
