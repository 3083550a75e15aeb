"""Options that several commands share, and what they stand for."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

    from keras_maskrcnn.data.records import DetectionData


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


def augment_choice(words: list[str]) -> list[Any]:
    """The words of `--augment` as `DetectionData.batches` takes them: names, and settings as JSON.

    Raises:
        ValueError: for what begins like JSON and is none.
    """
    choices: list[Any] = []
    for word in words:
        if not word.lstrip().startswith("{"):
            choices.append(word)
            continue
        try:
            choices.append(json.loads(word))
        except json.JSONDecodeError as error:
            raise ValueError(
                f"Expected a name or a JSON object: {error}. Received: --augment {word}"
            ) from None
    return choices


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
