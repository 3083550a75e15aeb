"""`maskrcnn train`."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_maskrcnn.cli.options import (
    DATA_HELP,
    check_classes,
    find_split,
    parse_settings,
    read_data,
    say,
)
from keras_maskrcnn.models.config import BACKBONES, MaskRCNNConfig

if TYPE_CHECKING:
    import keras

    from keras_maskrcnn.data.records import DetectionData
    from keras_maskrcnn.training import RunFolder

_DESCRIPTION = f"""\
Train Mask R-CNN on pictures with COCO annotations.

{DATA_HELP}
The run folder receives config.json, history.csv, log.txt, best.keras (by mask AP on the
validation pictures), last.keras, learning_curves.png and predictions.png.
"""

_EPILOG = """\
examples:
  maskrcnn train --data photos --weights imagenet --output runs/photos
  maskrcnn train --train cells/train.json cells/images --val cells/val.json cells/images \\
      --weights resnet50.npz --min-size 512 --epochs 30 --schedule cosine
  maskrcnn train --data photos --backbone resnet18 --set norm=group --set freeze_at=0
  maskrcnn train --resume runs/photos
"""

# What belongs to this call rather than to the run: not kept in config.json.
_NOT_KEPT = ("command", "run", "traceback", "resume")


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "train",
        help="train a model on COCO annotations",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    data = parser.add_argument_group("data")
    data.add_argument("--data", metavar="FOLDER", help="data folder with both splits")
    for split, use in (("train", "train on"), ("val", "validate on")):
        data.add_argument(
            f"--{split}",
            nargs=2,
            metavar=("ANNOTATIONS", "IMAGES"),
            help=f"COCO JSON file and picture folder to {use}, instead of --data",
        )
    data.add_argument("--no-flip", action="store_true", help="do not mirror training pictures")

    model = parser.add_argument_group("model")
    model.add_argument(
        "--backbone",
        choices=BACKBONES,
        default="resnet50",
        metavar="NAME",
        help=", ".join(BACKBONES) + "; default: %(default)s",
    )
    model.add_argument(
        "--weights",
        metavar="NAME|PATH",
        help='"imagenet" (downloaded by Keras) or a weights file; without it training starts '
        "from random weights, with batch normalisation trained and nothing frozen",
    )
    model.add_argument(
        "--min-size",
        type=int,
        nargs="+",
        default=[800],
        metavar="PIXELS",
        help="shorter side after resizing; of several, one is drawn for each picture and the "
        "largest is used in evaluation (default: 800)",
    )
    model.add_argument(
        "--max-size",
        type=int,
        default=1333,
        metavar="PIXELS",
        help="limit of the longer side (default: %(default)s)",
    )
    model.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other field of MaskRCNNConfig, such as anchor_sizes=[[16],[32],[64],[128],[256]]",
    )

    training = parser.add_argument_group("training")
    training.add_argument(
        "--epochs", type=int, metavar="N", default=12, help="default: %(default)s"
    )
    training.add_argument(
        "--batch-size", type=int, metavar="N", default=2, help="default: %(default)s"
    )
    training.add_argument(
        "--optimizer", choices=("sgd", "adam"), default="sgd", help="default: %(default)s"
    )
    training.add_argument(
        "--learning-rate",
        type=float,
        metavar="RATE",
        help="highest rate (default: .02 per 16 pictures for sgd, 2e-4 for adam)",
    )
    training.add_argument(
        "--schedule",
        choices=("step", "cosine", "constant"),
        default="step",
        help="default: %(default)s",
    )
    training.add_argument(
        "--warmup-steps",
        type=int,
        metavar="STEPS",
        help="linear warm-up (default: a tenth of the run, at most 1000)",
    )
    training.add_argument(
        "--clip-norm",
        type=float,
        default=10.0,
        metavar="NORM",
        help="limit of the gradient's norm (default: %(default)s)",
    )
    training.add_argument(
        "--evaluate-every",
        type=int,
        default=1,
        metavar="EPOCHS",
        help="epochs between COCO evaluations (default: %(default)s)",
    )
    training.add_argument(
        "--mixed-precision", action="store_true", help="compute in bfloat16, geometry in float32"
    )
    training.add_argument("--seed", type=int, metavar="N", default=0, help="default: %(default)s")

    run = parser.add_argument_group("run")
    run.add_argument(
        "--output", default="runs/train", metavar="FOLDER", help="run folder (default: %(default)s)"
    )
    run.add_argument(
        "--resume",
        metavar="FOLDER",
        help="go on with an interrupted run, with the options it was started with",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Trains a model, or goes on with an interrupted run."""
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

    options = training_options(args)
    (train_file, train_images), (val_file, val_images) = find_data(args)
    train_data, val_data = read_data(train_file, train_images), read_data(val_file, val_images)
    say(f"{train_data}\n{val_data}")

    keras.utils.set_random_seed(args.seed)
    if args.mixed_precision:
        keras.config.set_dtype_policy("mixed_bfloat16")
    model = build_model(args, train_data)
    check_classes(model, val_data, val_file)
    require_outlines(model.config, train_data, val_data)

    folder.write_config(
        {
            "options": {k: v for k, v in vars(args).items() if k not in _NOT_KEPT},
            "training": dataclasses.asdict(options),
            "model": model.config.to_dict(),
            "data": {
                "train": [str(train_file), str(train_images), len(train_data)],
                "val": [str(val_file), str(val_images), len(val_data)],
                "category_ids": list(train_data.category_ids),
            },
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
        for warning in data.warnings:
            logger.info("  %s", warning)
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


def training_options(args: argparse.Namespace) -> Any:
    """The `TrainingOptions` that the arguments describe."""
    from keras_maskrcnn.training import TrainingOptions

    sizes = tuple(args.min_size)
    return TrainingOptions(
        epochs=args.epochs,
        batch_size=args.batch_size,
        optimizer=args.optimizer,
        learning_rate=args.learning_rate,
        schedule=args.schedule,
        warmup_steps=args.warmup_steps,
        clip_norm=args.clip_norm,
        min_size=sizes if len(sizes) > 1 else sizes[0],
        max_size=args.max_size,
        flip=not args.no_flip,
        evaluate_every=args.evaluate_every,
        seed=args.seed,
    )


def find_data(args: argparse.Namespace) -> list[tuple[Path, Path]]:
    """Annotation file and picture folder of the training and of the validation pictures."""
    found = []
    for split in ("train", "val"):
        given = getattr(args, split)
        if given is None and args.data is None:
            raise ValueError(f"Expected --data FOLDER or --{split} ANNOTATIONS IMAGES")
        if given is None:
            found.append(find_split(args.data, split))
        else:
            found.append((Path(given[0]), Path(given[1])))
    return found


def build_model(args: argparse.Namespace, data: DetectionData) -> keras.Model:
    """The model that the arguments describe, with the classes of the data."""
    from keras_maskrcnn import MaskRCNN

    fields: dict[str, Any] = {"min_size": max(args.min_size), "max_size": args.max_size}
    fields["seed"] = args.seed
    if args.weights is None:
        fields.update(norm="batch", freeze_at=0)
    known = {field.name for field in dataclasses.fields(MaskRCNNConfig)}
    for name, value in parse_settings(args.set).items():
        if name not in known:
            raise ValueError(f"--set names a field of MaskRCNNConfig. Received: {name}")
        fields[name] = value
    return MaskRCNN(
        num_classes=len(data.class_names),
        backbone=args.backbone,
        class_names=data.class_names,
        weights=args.weights,
        **fields,
    )
