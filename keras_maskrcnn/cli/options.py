"""Options that several commands share, and what they stand for."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

    from keras_maskrcnn.data.records import DetectionData

logger = logging.getLogger("keras_maskrcnn")

_WARNINGS_SHOWN = 5

DATA_HELP = """\
A data folder holds instances_train.json and instances_val.json (there or in annotations/),
and the pictures in train/ and val/, or together in images/. COCO's own names with the year
(instances_train2017.json, train2017/) are found too.
"""


def find_split(folder: str | Path, split: str) -> tuple[Path, Path]:
    """Annotation file and picture folder of one split of a data folder; see `DATA_HELP`.

    Raises:
        ValueError: when either is missing, or there are several annotation files to choose from.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"Expected a data folder. Received: {folder}")
    files = [
        file
        for place in (folder, folder / "annotations")
        for pattern in (f"instances_{split}.json", f"instances_{split}[0-9]*.json")
        for file in sorted(place.glob(pattern))
    ]
    if len(files) != 1:
        found = ", ".join(str(file) for file in files) or "none"
        raise ValueError(
            f"Expected one file instances_{split}.json or annotations/instances_{split}.json in "
            f"{folder}. Received: {found}"
        )
    suffix = files[0].stem.removeprefix("instances_")
    for name in (suffix, split, "images"):
        if (folder / name).is_dir():
            return files[0], folder / name
    raise ValueError(
        f"Expected the pictures of {files[0].name} in {folder / split} or {folder / 'images'}. "
        "Received: neither is a folder"
    )


def read_data(annotations: str | Path, images: str | Path) -> DetectionData:
    """Reads COCO annotations; items that the reader left out are told on standard error."""
    from keras_maskrcnn.data import load_coco

    return telling(lambda: load_coco(annotations, images), annotations)


def telling(read: Callable[[], DetectionData], name: str | Path) -> DetectionData:
    """Reads data; items that the reader left out are told on standard error.

    Args:
        read: what reads.
        name: of what is read, for the first line.
    """
    with warnings.catch_warnings():
        # The count and the first lines follow below.
        warnings.simplefilter("ignore", UserWarning)
        data = read()
    if data.warnings:
        logger.warning("%s: left out %d items:", name, len(data.warnings))
        for warning in data.warnings[:_WARNINGS_SHOWN]:
            logger.warning("  %s", warning)
        if len(data.warnings) > _WARNINGS_SHOWN:
            logger.warning("  and %d more", len(data.warnings) - _WARNINGS_SHOWN)
    return data


def load_model(path: str | Path) -> keras.Model:
    """Loads a saved `MaskRCNN`; a run folder stands for its best model.

    Raises:
        ValueError: when there is no such file, or it is not a saved `MaskRCNN`.
    """
    import keras_maskrcnn

    path = Path(path)
    if path.is_dir():
        path = path / "best.keras"
    if not path.is_file():
        raise ValueError(f"Expected a model file (.keras) or a run folder. Received: {path}")
    try:
        return keras_maskrcnn.load_model(path)
    except Exception as error:
        raise ValueError(f"Cannot load the model {path}: {error}") from error


def check_classes(model: keras.Model, data: DetectionData, annotations: str | Path) -> None:
    """Makes sure that a model and a data set speak of the same classes.

    Raises:
        ValueError: when their count differs, or the model knows its classes by other names.
    """
    if model.num_classes != len(data.class_names):
        raise ValueError(
            f"Expected {model.num_classes} classes in {annotations}, as the model has. "
            f"Received: {len(data.class_names)} classes {data.class_names}"
        )
    names = list(model.given_class_names)
    if names and names != list(data.class_names):
        raise ValueError(
            f"Expected the model's classes {names} in {annotations}, in that order. "
            f"Received: {data.class_names}"
        )


def parse_settings(settings: list[str]) -> dict[str, Any]:
    """`["name=value", ...]` to a dictionary; a value is JSON, or else text.

    Raises:
        ValueError: when an entry has no equals sign.
    """
    parsed: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ValueError(f"Expected --set NAME=VALUE. Received: --set {setting}")
        try:
            parsed[name] = json.loads(value)
        except json.JSONDecodeError:
            parsed[name] = value
    return parsed


def size_arguments(parser: argparse.ArgumentParser) -> None:
    """`--min-size` and `--max-size` for a model that is already trained."""
    parser.add_argument(
        "--min-size", type=int, help="shorter side after resizing (default: the model's own)"
    )
    parser.add_argument(
        "--max-size", type=int, help="limit of the longer side (default: the model's own)"
    )


def say(text: str) -> None:
    """Prints a line at once, also where the output is a file."""
    print(text)
    sys.stdout.flush()
