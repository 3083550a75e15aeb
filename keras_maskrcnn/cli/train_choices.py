"""What the options of `maskrcnn train` stand for: a model, and how it is trained."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from keras_maskrcnn.cli.options import (
    augment_choice,
    is_preset,
    parse_settings,
    refuse_weights_file,
)
from keras_maskrcnn.models.saved import is_saved_model, model_file, saved_arguments

if TYPE_CHECKING:
    import keras

    from keras_maskrcnn.data.detection_data import DetectionData
    from keras_maskrcnn.training import TrainingOptions

# Of a model that was trained, of how pictures are read.
_OF_PIXELS = ("channels", "value_range")


def is_own_model(weights: str | None) -> bool:
    """Whether `--weights` names a model that was trained here: a file or a run folder."""
    return weights is not None and is_saved_model(weights)


def complete(args: argparse.Namespace) -> argparse.Namespace:
    """With an input size and a backbone where none is given: a whole model brings its own.

    Crops are as large as the tiles are, and so is then the input of the model.

    Raises:
        ValueError: for a backbone beside a whole model, a `--weights-file` without a published
            one, or a size beside `--tile`.
    """
    own: dict[str, Any] = {"min_size": 800, "max_size": 1333, "backbone": "resnet50"}
    arguments: dict[str, Any] = {}
    if is_preset(args.weights):
        from keras_maskrcnn.models.presets import get_preset

        arguments = dict(get_preset(args.weights).arguments)
    else:
        refuse_weights_file(args.weights_file, f"--weights {args.weights}")
        if is_own_model(args.weights):
            arguments = saved_arguments(model_file(args.weights))
            own |= {name: arguments[name] for name in _OF_PIXELS}
    if arguments:
        if args.backbone is not None:
            raise ValueError(
                "Expected --backbone only without a whole model, which has its own. "
                f"Received: --backbone {args.backbone} with --weights {args.weights}"
            )
        own |= {k: v for k, v in arguments.items() if k in ("min_size", "max_size")}
        own["backbone"] = None
    if args.tile is not None:
        for name in ("min_size", "max_size"):
            if getattr(args, name) not in (None, args.tile, [args.tile]):
                raise ValueError(
                    f"Expected --{name.replace('_', '-')} only without --tile, which shows "
                    f"pictures in their own size. Received: both"
                )
        own |= {"min_size": args.tile, "max_size": args.tile}
    given = {k: v for k, v in vars(args).items() if k not in own or v is not None}
    completed = argparse.Namespace(**{**vars(args), **own, **given})
    completed.min_size = args.min_size or [own["min_size"]]
    return completed


def training_options(args: argparse.Namespace) -> TrainingOptions:
    """The `TrainingOptions` that the arguments describe."""
    from keras_maskrcnn.training import TrainingOptions

    min_sizes = tuple(args.min_size)
    sizes: dict[str, Any] = {"tile": args.tile, "overlap": args.overlap}
    if args.tile is None:
        sizes |= {"min_size": min_sizes if len(min_sizes) > 1 else min_sizes[0]}
        sizes["max_size"] = args.max_size
    return TrainingOptions(
        epochs=args.epochs,
        minutes=args.minutes,
        batch_size=args.batch_size,
        accumulate=args.accumulate,
        optimizer=args.optimizer,
        learning_rate=args.learning_rate,
        schedule=args.schedule,
        warmup_steps=args.warmup_steps,
        clip_norm=args.clip_norm,
        ema=args.ema,
        freeze=args.freeze,
        freeze_epochs=args.freeze_epochs,
        **sizes,
        augment=augment_choice(args.augment),
        sampling={"name": args.sampling, **parse_settings(args.sampling_set)},
        evaluate_every=args.evaluate_every,
        monitor=args.monitor,
        patience=args.patience,
        tensorboard=args.tensorboard,
        seed=args.seed,
    )


def model_settings(args: argparse.Namespace) -> dict[str, Any]:
    """Arguments of `MaskRCNN` by `--set` and its short forms, parts' settings by dotted names."""
    short = {} if args.freeze_at is None else {"backbone.freeze_at": args.freeze_at}
    return {**short, **parse_settings(args.set)}


def build_model(args: argparse.Namespace, data: DetectionData, **measured: Any) -> keras.Model:
    """The model that the arguments describe, with the classes of the data.

    Args:
        args: of the command.
        data: to train on.
        **measured: arguments of `MaskRCNN` that tell of its pixels, where they are not RGB.
    """
    from keras_maskrcnn import MaskRCNN
    from keras_maskrcnn.models.settings import merge_arguments

    settings = model_settings(args)
    arguments = {
        "num_classes": len(data.class_names),
        "class_names": data.class_names,
        "min_size": max(args.min_size),
        "max_size": args.max_size,
        "seed": args.seed,
        **measured,
    }
    if is_preset(args.weights):
        changes = {**arguments, **settings}
        return MaskRCNN.from_preset(args.weights, weights_file=args.weights_file, **changes)
    if is_own_model(args.weights):
        return MaskRCNN.from_model(args.weights, **{**arguments, **settings})
    backbone: dict[str, Any] = {"name": args.backbone}
    if args.weights is None:
        backbone["freeze_at"] = 0
        if args.backbone.startswith(("res", "regnet")):
            backbone["norm"] = "batch"
    arguments |= {"backbone": backbone, "weights": args.weights}
    return MaskRCNN(**merge_arguments(arguments, settings))
