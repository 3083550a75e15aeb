"""The data of a training run, for commands that take its folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_maskrcnn.cli.data import described, is_there, read_coco, read_split

if TYPE_CHECKING:
    from keras_maskrcnn.data.detection_data import DetectionData

# Options that say how data are read and split.
READING = ("format", "format_set", "val_fraction", "seed")


def as_in_its_run(args: argparse.Namespace) -> argparse.Namespace:
    """With the options by which the data of the run `args.model` were read, where none are given;
    any other model leaves them as they are."""
    kept = kept_of_run(args.model).get("options", {})
    missing = {name: kept.get(name) for name in READING if getattr(args, name) is None}
    return argparse.Namespace(**{**vars(args), **missing})


def read_data_of_run(args: argparse.Namespace) -> tuple[DetectionData, str]:
    """What the run `args.model` was validated on, and where it lies.

    Raises:
        ValueError: when the model is no run of `maskrcnn train`, its data are gone, or they hold
            other pictures than they did.
    """
    kept = kept_of_run(args.model)
    place = kept.get("data", {}).get("from")
    if place is None:
        raise ValueError(
            "Expected --data FOLDER, or --annotations FILE with --images FOLDER; only the folder "
            f"of a run knows its data. Received: {args.model}"
        )
    # Two pairs, to train and to validate on, or one folder.
    parts = place[2:] if isinstance(place, list) else [place]
    for part in parts:
        if not is_there(part):
            raise ValueError(
                f"The data of the run are no longer at {part}: give --data, or --annotations and "
                f"--images. Received: {args.model}"
            )
    if isinstance(place, list):
        data = read_coco(parts[0], parts[1], args)
    else:
        data = read_split(argparse.Namespace(**{**vars(as_in_its_run(args)), "data": place}))
    then = kept["data"]["val"]
    if args.split == "val" and described(data)["digest"] != then["digest"]:
        raise ValueError(
            f"Expected the {then['pictures']} pictures that the run {args.model} was validated on. "
            f"Received: {len(data)} at {parts[0]}, of which some have other names; --data "
            f"{parts[0]} takes them as they are"
        )
    return data, parts[0]


def kept_of_run(model: str) -> dict[str, Any]:
    """`config.json` of a run; nothing for another model."""
    if not Path(model).is_dir():
        return {}
    from keras_maskrcnn.training.folder import RunFolder

    return RunFolder(model).read_config()
