"""Reads text that nobody vouches for."""

from __future__ import annotations

from pathlib import Path


def read_lines(file: Path) -> list[str]:
    """The lines of a text file in UTF-8, without their ends.

    Raises:
        ValueError: if it cannot be read, or is not in UTF-8; the message names it.
    """
    try:
        return file.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not valid UTF-8: {error}") from None
