"""What a saved model is made of, read without building it: this needs no Keras."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

# In a run folder; see `training.RunFolder`.
_BEST = "best.keras"


def is_saved_model(place: str | os.PathLike[str]) -> bool:
    """Whether a word names a `.keras` file or a folder, which stands for its run's best model."""
    return Path(place).suffix == ".keras" or Path(place).is_dir()


def model_file(place: str | os.PathLike[str]) -> Path:
    """The file of a saved model.

    Args:
        place: a `.keras` file, or a run folder.

    Raises:
        ValueError: when there is no such file.
    """
    path = Path(place)
    if path.is_dir():
        path = path / _BEST
    if not path.is_file():
        raise ValueError(f"Expected a model file (.keras) or a run folder. Received: {path}")
    return path


def saved_arguments(file: Path) -> dict[str, Any]:
    """The arguments of a saved `MaskRCNN` as JSON holds them.

    Args:
        file: a `.keras` file.

    Raises:
        ValueError: when the file is damaged, or holds another model.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            saved = json.loads(archive.read("config.json"))
        name, arguments = saved["registered_name"], dict(saved["config"])
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"Expected a saved MaskRCNN. Received: {file} ({error})") from error
    if name != "keras_maskrcnn>MaskRCNN":
        raise ValueError(f"Expected a saved MaskRCNN. Received: {file} with a {name}")
    return arguments
