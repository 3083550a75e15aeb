"""Reads YAML that nobody vouches for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

# Settings of a data set take a few kilobytes; the parser takes its time.
_LONGEST = 1 << 20


def read_yaml(file: Path) -> dict[Any, Any]:
    """Reads a YAML file of settings by name.

    Raises:
        ValueError: if it is no YAML of a few settings; the message names it.
    """
    import yaml

    try:
        if file.stat().st_size > _LONGEST:
            raise ValueError(f"{file}: expected a YAML file of at most {_LONGEST} bytes")
        content = yaml.safe_load(file.read_bytes())
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        text = " ".join(str(error).split())[:200]
        raise ValueError(f"{file} is not valid YAML: {text}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{file}: expected settings by name. Received: {type(content).__name__}")
    return content
