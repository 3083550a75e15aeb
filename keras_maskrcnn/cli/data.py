"""The options that name a data set, and what they stand for."""

from __future__ import annotations

import argparse
import hashlib
import logging
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from keras_maskrcnn.cli.options import parse_settings
from keras_maskrcnn.cli.quiet import start_tensorflow
from keras_maskrcnn.names import AUGMENTATIONS, VAL_FRACTION

if TYPE_CHECKING:
    from keras_maskrcnn.data.detection_data import DetectionData

logger = logging.getLogger("keras_maskrcnn")
Data = TypeVar("Data")

_WARNINGS_SHOWN = 5

DATA_HELP = """\
A data folder holds pictures and annotations of any format that is read: COCO (also of Roboflow,
CVAT, Label Studio, LVIS, panoptic), YOLO, LabelMe, VIA, CVAT's XML, Pascal VOC, Supervisely, Label
Studio, Open Images, Cityscapes, masks as pictures, or the TFRecord shards of `maskrcnn convert`,
which may lie in a bucket (gs://bucket/photos). Splits that lie there are used, such as folders
train/ and val/, or instances_train.json and instances_val.json; without one for validation, a part
of the pictures is set aside. What was found is printed.
"""


def data_arguments(parser: Any, *, sets_aside: bool = True, **options: Any) -> None:
    """`--data` and what belongs to it.

    Args:
        parser: of a command, or a group of its options.
        sets_aside: whether the command sets pictures aside where there is no split.
        **options: of `--data`.
    """
    parser.add_argument(
        "--data", metavar="FOLDER", help="data folder, or annotation file", **options
    )
    parser.add_argument(
        "--format", metavar="NAME", help="annotation format, where several fit, such as coco"
    )
    parser.add_argument(
        "--format-set",
        action="append",
        metavar="NAME=VALUE",
        help="setting of the format, such as crowd=objects (COCO), class_attribute=kind (VIA) or "
        "orientation=stored (photographs with an EXIF orientation, annotated as they are stored)",
    )
    if sets_aside:
        parser.add_argument(
            "--val-fraction",
            type=float,
            metavar="PART",
            help="part of the pictures to set aside where there is no split for validation "
            f"(default: {VAL_FRACTION})",
        )
    pixel_arguments(parser)


def pixel_arguments(parser: Any) -> None:
    """`--channels`, `--value-range` and `--display`."""
    parser.add_argument(
        "--channels",
        type=int,
        metavar="N",
        help="channels of the pictures, such as 4 of RGB and distance (default: 3, of which grey "
        "and transparent pictures are made too)",
    )
    parser.add_argument(
        "--value-range",
        type=_number,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="values that count as black and white, such as 0 4095 (default: by their type)",
    )
    display_argument(parser)


def display_argument(parser: Any) -> None:
    """`--display`."""
    parser.add_argument(
        "--display",
        type=int,
        nargs=3,
        metavar=("R", "G", "B"),
        help="channels, counted from 0, that are drawn as red, green and blue "
        "(default: the first three, or the first)",
    )


def pixel_choice(args: argparse.Namespace) -> dict[str, Any]:
    """Arguments of `PixelFormat` and of what reads data."""
    return {
        "channels": 3 if args.channels is None else args.channels,
        "value_range": None if args.value_range is None else tuple(args.value_range),
        "display": None if args.display is None else tuple(args.display),
    }


def _number(text: str) -> float:
    """A whole number stays one."""
    value = float(text)
    return int(value) if value.is_integer() else value


def augment_argument(parser: Any) -> None:
    """`--augment`."""
    parser.add_argument(
        "--augment",
        nargs="+",
        default=["flip"],
        metavar="NAME",
        help=f"what happens to training pictures and their objects: {', '.join(AUGMENTATIONS)}; "
        "or transforms that happen in turn, such as flip rotate copy_paste color, each a name or "
        """a JSON object such as '{"name": "rotate", "degrees": [-30, 30]}' (default: flip)""",
    )


def find_format(args: argparse.Namespace) -> str:
    """The format of `--data`.

    Raises:
        ValueError: if there is nothing, or no format or several fit.
    """
    from keras_maskrcnn.data.datasets import dataset_format

    if not is_there(args.data):
        raise ValueError(f"Expected a data folder. Received: {args.data}")
    return args.format or dataset_format(args.data)


def is_there(place: str) -> bool:
    """Whether there is a file or folder; of a bucket, that is told where it is read, for which
    TensorFlow starts here."""
    from keras_maskrcnn.data.remote_files import is_remote

    if is_remote(place):
        start_tensorflow()
        return True
    return Path(place).exists()


def read_pair(args: argparse.Namespace) -> tuple[DetectionData, DetectionData, str]:
    """The data for training and for validation, and the name of their format."""
    from keras_maskrcnn.data import load_splits

    name = find_format(args)
    train, val = without_python_warnings(
        lambda: load_splits(args.data, name, **_choice(args), **reading_choice(args))
    )
    for data in (train, val):
        tell(data)
    return train, val, name


def read_split(args: argparse.Namespace) -> DetectionData:
    """The data of `--split`."""
    from keras_maskrcnn.data.splits import load_split

    options = {"split": args.split, **_choice(args), **reading_choice(args)}
    name = find_format(args)
    return telling(lambda: load_split(args.data, name, **options))


def read_coco(
    annotations: str | Path, images: str | Path, args: argparse.Namespace
) -> DetectionData:
    """A COCO file and its picture folder, with the options of `pixel_arguments`."""
    from keras_maskrcnn.data import load_coco

    return telling(lambda: load_coco(annotations, images, **pixel_choice(args)))


def telling(read: Callable[[], DetectionData], name: str | Path = "") -> DetectionData:
    """Reads data, and tells on standard error what was decided, and what was left out.

    Args:
        read: what reads.
        name: of what is read, for the first line; by default the data set's.
    """
    data = without_python_warnings(read)
    tell(data, name)
    return data


def without_python_warnings(read: Callable[[], Data]) -> Data:
    """Reads a data set; `tell` says what its warnings say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return read()


def tell(data: DetectionData, name: str | Path = "") -> None:
    """Tells on standard error what was decided, and which items the reader left out."""
    for note in data.notes:
        logger.warning("%s: %s", name or data.name, note)
    if data.warnings:
        logger.warning("%s: left out %d items:", name or data.name, len(data.warnings))
        for warning in data.warnings[:_WARNINGS_SHOWN]:
            logger.warning("  %s", warning)
        if len(data.warnings) > _WARNINGS_SHOWN:
            logger.warning("  and %d more", len(data.warnings) - _WARNINGS_SHOWN)


def described(data: DetectionData) -> dict[str, Any]:
    """What a data set holds, as `config.json` keeps it; `digest` is that of its pictures' names."""
    objects = [instance for record in data.records for instance in record.objects]
    counts = Counter(instance.category for instance in objects)
    from keras_maskrcnn.data.shard_files import name_as_file

    names = sorted("/".join(name_as_file(record.path).parts) for record in data.records)
    return {
        "name": data.name,
        "pictures": len(data),
        "objects": {name: counts[k] for k, name in enumerate(data.class_names)},
        "crowds": sum(len(record.crowds) for record in data.records),
        "boxes_only": len(data.boxes_only),
        "left_out": len(data.warnings),
        "notes": data.notes,
        "digest": hashlib.sha256("\n".join(names).encode("utf-8", "replace")).hexdigest(),
    }


def _choice(args: argparse.Namespace) -> dict[str, Any]:
    """How pictures are set aside."""
    fraction = VAL_FRACTION if args.val_fraction is None else args.val_fraction
    return {"val_fraction": fraction, "seed": args.seed or 0}


def reading_choice(args: argparse.Namespace) -> dict[str, Any]:
    """What `load_dataset` takes of `data_arguments`, but for path and format."""
    return {**pixel_choice(args), **parse_settings(args.format_set or [])}
