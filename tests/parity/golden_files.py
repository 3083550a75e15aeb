"""Reads the golden files."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "golden"


def _folder(name: str) -> Path:
    extensions = FOLDER / "extensions"
    return extensions if (extensions / f"{name}.npz").exists() else FOLDER


@functools.cache
def arrays(name: str) -> dict[str, np.ndarray]:
    """The arrays of a golden file."""
    with np.load(_folder(name) / f"{name}.npz") as file:
        return dict(file)


@functools.cache
def info(name: str) -> dict[str, Any]:
    """How they were recorded."""
    return json.loads((_folder(name) / f"{name}.json").read_text())
