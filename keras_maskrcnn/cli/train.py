"""`maskrcnn train`."""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

from keras_maskrcnn.cli.data import described, read_coco, read_pair
from keras_maskrcnn.cli.options import check_classes, parse_settings, say
from keras_maskrcnn.cli.quiet import start_tensorflow
from keras_maskrcnn.cli.train_checks import checked
from keras_maskrcnn.cli.train_choices import build_model, is_own_model
from keras_maskrcnn.cli.train_parser import add_parser
from keras_maskrcnn.cli.workers import Cluster, lost_worker, read_cluster, spread, start_workers

if TYPE_CHECKING:
    import keras

    from keras_maskrcnn.data.detection_data import DetectionData
    from keras_maskrcnn.training import RunFolder, TrainingOptions, TrainingState

__all__ = ["add_parser", "run"]

# What belongs to this call rather than to the run: not kept in config.json.
_NOT_KEPT = ("command", "run", "traceback", "resume", "find_learning_rate")


def run(args: argparse.Namespace) -> int:
    """Trains a model, or goes on with an interrupted run."""
    from keras_maskrcnn.training import RunFolder, TrainingState

    folder = RunFolder(args.output if args.resume is None else args.resume)
    if args.resume is not None:
        kept = folder.read_config().get("options")
        if kept is None:
            raise ValueError(f"Expected the folder of `maskrcnn train`. Received: {folder.path}")
        args = argparse.Namespace(**{**vars(args), **kept, "output": args.resume})
    is_begun = args.resume is not None and folder.last_file.exists()
    cluster = read_cluster()
    args, options = checked(args, is_begun=is_begun)
    if cluster is not None:
        cluster.check(options, args.find_learning_rate)
        say(f"This is {cluster}")
    if cluster is not None and not cluster.is_first:
        # The folder is the first worker's: this machine need not have it.
        return _read_and_train(args, options, folder, cluster)
    with folder.lock():
        if cluster is not None and _holds_run_of(folder, args):
            args.resume = str(folder.path)
        if args.resume is not None:
            state = folder.state() or TrainingState(pictures=0)
            # The others wait for a worker that ends here.
            if cluster is None and state.is_over(options.epochs) and folder.is_finished():
                raise ValueError(
                    f"The run in {folder.path} has finished its {state.epochs_done} epochs"
                )
            say(f"Going on with {folder.path}: {_told(state, options)}")
        elif not folder.is_unused():
            raise ValueError(
                f"The folder {folder.path} is not empty: give another --output, or go on with an "
                f"interrupted run by --resume {_quoted(folder)}"
            )
        else:
            say(_announced(args, options, folder))
        return _read_and_train(args, options, folder, cluster)


def _holds_run_of(folder: RunFolder, args: argparse.Namespace) -> bool:
    """Whether a run of the same options has begun: managers of clusters start a command again."""
    if not folder.config_file.exists():
        return False
    return folder.read_config().get("options") == json.loads(json.dumps(_kept(args)))


def _kept(args: argparse.Namespace) -> dict[str, Any]:
    """What of the arguments belongs to the run."""
    return {name: value for name, value in vars(args).items() if name not in _NOT_KEPT}


def _read_and_train(
    args: argparse.Namespace,
    options: TrainingOptions,
    folder: RunFolder,
    cluster: Cluster | None,
) -> int:
    # Data are read without TensorFlow: mistakes in them are told at once, too.
    train_data, val_data, source = read_both(args)
    say(f"{train_data}\n{val_data}")
    found = {"train": described(train_data), "val": described(val_data)}
    if args.resume is not None:
        _require_same_pictures(found, folder)
    told = {**source, **found}
    try:
        return _train(args, options, folder, (train_data, val_data), told, cluster)
    except Exception as error:
        message = None if cluster is None else lost_worker(error)
        if message is None or args.traceback:
            raise
        print(f"maskrcnn train: error: {message}", file=sys.stderr)
        return 1


def _announced(args: argparse.Namespace, options: TrainingOptions, folder: RunFolder) -> str:
    """What will be trained: the first line, while large data are read and TensorFlow starts."""
    model = args.weights
    if args.backbone is not None:
        model = f"{args.backbone} with {args.weights or 'random'} weights"
    if args.find_learning_rate:
        return f"Searching for the learning rate of {model}: {folder.path}"
    length = f"{options.epochs} epoch{'' if options.epochs == 1 else 's'}"
    if options.minutes is not None:
        length = f"{options.minutes:g} minutes"
    return f"Training {model} for {length}: {folder.path}"


def _told(state: TrainingState, options: TrainingOptions) -> str:
    """How far a run is."""
    if options.minutes is None:
        return f"{state.epochs_done} of {options.epochs} epochs are done"
    return f"{state.seconds / 60:.1f} of {options.minutes:g} minutes are used"


def _train(
    args: argparse.Namespace,
    options: TrainingOptions,
    folder: RunFolder,
    datasets: tuple[DetectionData, DetectionData],
    told: dict[str, Any],
    cluster: Cluster | None,
) -> int:
    """Trains in a folder that is locked, or as a worker that is not the first.

    Args:
        args, options: of the command.
        folder: of the run.
        datasets: to train on, and to validate on.
        told: of both, for `config.json`.
        cluster: of several workers.
    """
    start_tensorflow()

    import keras

    from keras_maskrcnn import MaskRCNN, NonFiniteError
    from keras_maskrcnn.models.objective import require_outlines
    from keras_maskrcnn.training import best_epoch, monitored, train_model

    train_data, val_data = datasets
    workers = start_workers(cluster)
    keras.utils.set_random_seed(args.seed)
    if args.mixed_precision:
        keras.config.set_dtype_policy("mixed_bfloat16")
    model = None
    if args.resume is not None and folder.last_file.exists() and workers.is_chief:
        # Its weights come from there, and what they began with need not be there any more.
        model = MaskRCNN.from_config(folder.read_config()["model"])
    elif workers.is_chief:
        model = build_model(args, train_data, **_measured_pixels(args, train_data, folder))
    report = getattr(model, "load_report", None)
    model = spread(model, workers)
    check_classes(model, val_data, val_data.name)
    require_outlines(model.network, train_data, val_data)
    metric = monitored(model, options)
    if args.find_learning_rate:
        return _find_rate(model, train_data, options, folder)

    if not workers.is_chief:
        try:
            train_model(model, train_data, val_data, folder, options)
        except NonFiniteError as error:
            print(f"maskrcnn train: error: {error}", file=sys.stderr)
            return 1
        return 0

    folder.write_config(
        {
            "options": _kept(args),
            "training": options.describe(),
            "model": model.get_config(),
            "data": {**told, "category_ids": list(train_data.category_ids)},
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
    if report is not None:
        logger.info("%s", report)
    try:
        history = train_model(model, train_data, val_data, folder, options)
    except KeyboardInterrupt:
        say(f"\nInterrupted. To go on: maskrcnn train --resume {_quoted(folder)}")
        return 130
    except NonFiniteError as error:
        logger.info("%s", error)
        print(f"maskrcnn train: error: {error}", file=sys.stderr)
        return 1
    finally:
        logger.removeHandler(log)
        log.close()
    best = best_epoch(history, metric)
    if math.isnan(history[best][metric]):
        say(f"No epoch has a {metric}: there is nothing to find in the validation pictures")
    else:
        say(f"Best epoch: {best + 1} with {metric} {history[best][metric]:.3f}")
    say(f"Run folder: {folder.path}")
    return 0


def _find_rate(
    model: keras.Model, data: DetectionData, options: TrainingOptions, folder: RunFolder
) -> int:
    """Searches for a learning rate; a run of the same options is for another call."""
    from keras_maskrcnn.training import find_learning_rate

    found = find_learning_rate(model, data, options, folder)
    say(f"{found}\nLoss over rate: {folder.rates_plot}")
    return 0


def read_both(args: argparse.Namespace) -> tuple[DetectionData, DetectionData, dict[str, Any]]:
    """The data to train and to validate on, and where they come from."""
    from keras_maskrcnn.data.remote_files import is_remote

    if args.data is not None:
        train, val, name = read_pair(args)
        place = args.data if is_remote(args.data) else os.path.abspath(args.data)
        return train, val, {"from": place, "format": name}
    places = [os.path.abspath(place) for place in (*args.train, *args.val)]
    source = {"from": places, "format": "coco"}
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
    has it from its beginning, and a trained model its own."""
    from keras_maskrcnn.data import measure_pixels

    names = ("channels", "value_range", "pixel_mean", "pixel_std")
    if data.pixels.is_common or is_own_model(args.weights):
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


def _quoted(folder: RunFolder) -> str:
    """The run folder as a shell takes it."""
    return shlex.quote(str(folder.path))
