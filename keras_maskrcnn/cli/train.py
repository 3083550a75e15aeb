"""`maskrcnn train`."""

from __future__ import annotations

import argparse
import logging
import math
import sys
from typing import TYPE_CHECKING, Any

from keras_maskrcnn.cli.data import described, read_coco, read_pair
from keras_maskrcnn.cli.options import check_classes, parse_settings, say
from keras_maskrcnn.cli.quiet import start_tensorflow
from keras_maskrcnn.cli.train_choices import build_model, complete, training_options
from keras_maskrcnn.cli.train_parser import add_parser

if TYPE_CHECKING:
    from keras_maskrcnn.data.records import DetectionData
    from keras_maskrcnn.training import RunFolder

__all__ = ["add_parser", "run"]

# What belongs to this call rather than to the run: not kept in config.json.
_NOT_KEPT = ("command", "run", "traceback", "resume")


def run(args: argparse.Namespace) -> int:
    """Trains a model, or goes on with an interrupted run."""
    start_tensorflow()

    from keras_maskrcnn.training import RunFolder

    folder = RunFolder(args.output if args.resume is None else args.resume)
    if args.resume is not None:
        kept = folder.read_config().get("options")
        if kept is None:
            raise ValueError(f"Expected the folder of `maskrcnn train`. Received: {folder.path}")
        args = argparse.Namespace(**{**vars(args), **kept, "output": args.resume})
    with folder.lock():
        if args.resume is not None:
            state = folder.state()
            done = 0 if state is None else state.epochs_done
            if done >= args.epochs and folder.is_finished():
                raise ValueError(f"The run in {folder.path} has finished its {args.epochs} epochs")
            say(f"Going on with {folder.path}: {done} of {args.epochs} epochs are done")
        elif not folder.is_unused():
            raise ValueError(
                f"The folder {folder.path} is not empty: give another --output, or go on with an "
                f"interrupted run by --resume {folder.path}"
            )
        return _train(args, folder)


def _train(args: argparse.Namespace, folder: RunFolder) -> int:
    """Trains in a folder that is locked."""
    import keras

    from keras_maskrcnn import NonFiniteError
    from keras_maskrcnn.models.objective import require_outlines
    from keras_maskrcnn.training import best_epoch, monitored, train_model

    args = complete(args)
    options = training_options(args)
    train_data, val_data, source = read_both(args)
    say(f"{train_data}\n{val_data}")
    found = {"train": described(train_data), "val": described(val_data)}
    if args.resume is not None:
        _require_same_pictures(found, folder)

    keras.utils.set_random_seed(args.seed)
    if args.mixed_precision:
        keras.config.set_dtype_policy("mixed_bfloat16")
    measured = _measured_pixels(args, train_data, folder)
    model = build_model(args, train_data, **measured)
    check_classes(model, val_data, val_data.name)
    require_outlines(model.network, train_data, val_data)

    folder.write_config(
        {
            "options": {k: v for k, v in vars(args).items() if k not in _NOT_KEPT},
            "training": options.describe(),
            "model": model.get_config(),
            "data": {**source, **found, "category_ids": list(train_data.category_ids)},
            "keras": keras.version(),
        }
    )
    log = logging.FileHandler(folder.log_file, encoding="utf-8")
    log.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("keras_maskrcnn")
    logger.addHandler(log)
    logger.setLevel(logging.INFO)
    for data in (train_data, val_data):
        logger.info("%r", data)
        for line in (*data.notes, *data.warnings):
            logger.info("  %s", line)
    if args.weights is not None:
        logger.info("%s", model.load_report)
    try:
        history = train_model(model, train_data, val_data, folder, options)
    except KeyboardInterrupt:
        say(f"\nInterrupted. To go on: maskrcnn train --resume {folder.path}")
        return 130
    except NonFiniteError as error:
        logger.info("%s", error)
        print(f"maskrcnn train: error: {error}", file=sys.stderr)
        return 1
    finally:
        logger.removeHandler(log)
        log.close()
    metric = monitored(model)
    best = best_epoch(history, metric)
    if math.isnan(history[best][metric]):
        say(f"No epoch has a {metric}: there is nothing to find in the validation pictures")
    else:
        say(f"Best epoch: {best + 1} with {metric} {history[best][metric]:.3f}")
    say(f"Run folder: {folder.path}")
    return 0


def read_both(args: argparse.Namespace) -> tuple[DetectionData, DetectionData, dict[str, Any]]:
    """The data to train and to validate on, and where they come from."""
    if args.train is None and args.val is None:
        if args.data is None:
            raise ValueError("Expected --data FOLDER or --train ANNOTATIONS IMAGES")
        train, val, name = read_pair(args)
        return train, val, {"from": args.data, "format": name}
    for split in ("train", "val"):
        if getattr(args, split) is None:
            raise ValueError(f"Expected --{split} ANNOTATIONS IMAGES, too")
    if args.data is not None:
        raise ValueError("Expected either --data or --train and --val. Received: both")
    source = {"from": [*args.train, *args.val], "format": "coco"}
    train, val = (read_coco(file, images, args) for file, images in (args.train, args.val))
    return train, val, source


def _require_same_pictures(found: dict[str, dict[str, Any]], folder: RunFolder) -> None:
    """What was validated on must never be trained on."""
    kept = folder.read_config()["data"]
    for split, now in found.items():
        if now["digest"] != kept[split]["digest"]:
            raise ValueError(
                f"Expected the {kept[split]['pictures']} pictures with which the run in "
                f"{folder.path} was started ({split}). Received: {now['pictures']}, of which some "
                "have other names"
            )


def _measured_pixels(
    args: argparse.Namespace, data: DetectionData, folder: RunFolder
) -> dict[str, Any]:
    """What `measure_pixels` tells of pictures that are not RGB by their type; a run that goes on
    has it from its beginning."""
    from keras_maskrcnn.data import measure_pixels

    names = ("channels", "value_range", "pixel_mean", "pixel_std")
    if data.pixels.is_common:
        return {}
    if {"pixel_mean", "pixel_std"} <= set(parse_settings(args.set)):
        return {"channels": data.pixels.channels, "value_range": data.pixels.value_range}
    if args.resume is not None:
        kept = folder.read_config()["model"]
        return {name: kept[name] for name in names}
    measured = measure_pixels(data)
    mean, deviation = (", ".join(f"{v:.4g}" for v in measured[name]) for name in names[2:])
    say(f"Pixels of {data.pixels}, on the scale 0..255: mean {mean}; deviation {deviation}")
    return measured
