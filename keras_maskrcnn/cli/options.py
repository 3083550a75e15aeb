"""Options that several commands share, and what they stand for."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_maskrcnn.cli.quiet import start_tensorflow

if TYPE_CHECKING:
    import keras

    from keras_maskrcnn.data.detection_data import DetectionData


def model_arguments(parser: argparse.ArgumentParser, more: str = "", **options: Any) -> None:
    """`MODEL` and `--weights-file`, what `load_model` takes.

    Args:
        parser: of a command.
        more: what else the command takes for a model, for its help.
        **options: of the first argument.
    """
    parser.add_argument(
        "model",
        help="model file (.keras), a run folder for its best model, or the name of a published "
        f"model (`maskrcnn presets`){more}",
        **options,
    )
    weights_file_argument(parser)


def weights_file_argument(parser: Any) -> None:
    """`--weights-file` for commands that take a preset."""
    parser.add_argument(
        "--weights-file",
        metavar="FILE",
        help="weights of the published model, where the file is at hand (default: downloaded once)",
    )


def pictures_argument(parser: argparse.ArgumentParser, help: str) -> None:
    """Picture files, which may be none, before or after options."""
    action = parser.add_argument("pictures", nargs="+", default=[], help=help)
    # What may be none (`"*"`) counts as given, with nothing, where an option follows the argument
    # before it, and pictures after the option are then unknown arguments.
    action.required = False


def is_preset(choice: str | Path | None) -> bool:
    """Whether a word names a published model; a file or folder of that name goes before."""
    from keras_maskrcnn.models.presets import PRESETS

    return choice is not None and str(choice) in PRESETS and not Path(choice).exists()


def load_model(choice: str | Path, weights_file: str | None = None) -> keras.Model:
    """Loads a saved `MaskRCNN`, or a published one.

    Args:
        choice: a file, a run folder, which stands for its best model, or a preset's name.
        weights_file: the preset's file; by default it is downloaded.

    Raises:
        ValueError: when there is no such model, or the file is not a saved `MaskRCNN`.
    """
    import keras_maskrcnn
    from keras_maskrcnn.checks import nearest

    if is_preset(choice):
        start_tensorflow()
        return keras_maskrcnn.MaskRCNN.from_preset(str(choice), weights_file=weights_file)
    refuse_weights_file(weights_file, choice)
    path = Path(choice)
    if path.is_dir():
        path = path / "best.keras"
    if not path.is_file():
        raise ValueError(
            "Expected a model file (.keras) or a run folder, or the name of a published model."
            f"{nearest(choice, tuple(keras_maskrcnn.PRESETS))} Received: {path}"
        )
    start_tensorflow()
    try:
        return keras_maskrcnn.load_model(path)
    except Exception as error:
        raise ValueError(f"Cannot load the model {path}: {error}") from error


def refuse_weights_file(weights_file: str | None, choice: object) -> None:
    """Raises `ValueError` for a `--weights-file` beside what is no preset."""
    if weights_file is not None:
        raise ValueError(
            "Expected --weights-file only with the name of a published model. "
            f"Received: --weights-file {weights_file} with {choice}"
        )


def refuse(args: argparse.Namespace, options: Mapping[str, str], when: str) -> None:
    """Refuses options that were given.

    Args:
        args: the command's.
        options: their names there, and on the command line.
        when: how they may be given, for the message.

    Raises:
        ValueError: for the first of them.
    """
    for name, option in options.items():
        value = getattr(args, name)
        # Neither given nor set.
        if value is None or value is False:
            continue
        received = option if value is True else f"{option} {value}"
        raise ValueError(f"Expected {option} {when}. Received: {received}")


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


def split_thresholds(words: list[str], default: float) -> tuple[dict[str, float], float]:
    """The words of `--threshold`: lowest scores by class, and that of all other classes.

    Raises:
        ValueError: for what is neither `SCORE` nor `NAME=SCORE`.
    """
    of_classes: dict[str, float] = {}
    for word in words:
        # A name may hold an equals sign.
        name, equals, score = word.rpartition("=")
        try:
            value = float(score)
        except ValueError:
            raise ValueError(
                f"Expected --threshold SCORE or NAME=SCORE. Received: --threshold {word}"
            ) from None
        if equals:
            of_classes[name] = value
        else:
            default = value
    return of_classes, default


def tta_argument(parser: argparse.ArgumentParser) -> None:
    """`--tta`, of commands that look at pictures."""
    parser.add_argument(
        "--tta",
        action="store_true",
        help="test-time augmentation: look at each picture in nine sizes around the model's own, "
        "and mirrored, and merge what is found; takes some 40 times as long",
    )


def tile_arguments(
    parser: Any,
    use: str = "look at pictures in their own size, in tiles of this side, and join what is found",
) -> None:
    """`--tile` and `--overlap`, of commands that look at pictures.

    Args:
        parser: of a command, or a group of its options.
        use: what the command does with tiles, for its help.
    """
    parser.add_argument(
        "--tile",
        type=int,
        metavar="PIXELS",
        help=f"{use}: for pictures too large to be seen at once",
    )
    parser.add_argument(
        "--overlap",
        type=int,
        metavar="PIXELS",
        help="of neighbouring tiles; objects up to this size are seen whole (default: an eighth)",
    )


def check_tiling(args: argparse.Namespace) -> None:
    """Refuses what fits no tiling, before TensorFlow is loaded.

    Raises:
        ValueError: as said.
    """
    from keras_maskrcnn.images.tiling import as_tiling

    if args.overlap is not None and args.tile is None:
        raise ValueError(f"Expected --overlap with --tile. Received: --overlap {args.overlap}")
    if args.tile is not None and args.tta:
        raise ValueError(
            "Expected --tile without --tta, which looks at whole pictures. Received: both"
        )
    as_tiling(args.tile, args.overlap)


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
