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

if TYPE_CHECKING:
    import keras

    from keras_maskrcnn.data.records import DetectionData


def complete(args: argparse.Namespace) -> argparse.Namespace:
    """With an input size and a backbone where none is given: a published model brings its own.

    Raises:
        ValueError: for a backbone beside a published model, or a `--weights-file` without one.
    """
    own: dict[str, Any] = {"min_size": 800, "max_size": 1333, "backbone": "resnet50"}
    if is_preset(args.weights):
        from keras_maskrcnn.models.presets import get_preset

        if args.backbone is not None:
            raise ValueError(
                "Expected --backbone only without a published model, which has its own. "
                f"Received: --backbone {args.backbone} with --weights {args.weights}"
            )
        arguments = get_preset(args.weights).arguments
        own |= {k: v for k, v in arguments.items() if k in ("min_size", "max_size")}
        own["backbone"] = None
    else:
        refuse_weights_file(args.weights_file, f"--weights {args.weights}")
    return argparse.Namespace(
        **{
            **vars(args),
            "min_size": args.min_size or [own["min_size"]],
            "max_size": args.max_size or own["max_size"],
            "backbone": args.backbone or own["backbone"],
        }
    )


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
        augment=augment_choice(args.augment),
        sampling={"name": args.sampling, **parse_settings(args.sampling_set)},
        evaluate_every=args.evaluate_every,
        seed=args.seed,
    )


def build_model(args: argparse.Namespace, data: DetectionData, **measured: Any) -> keras.Model:
    """The model that the arguments describe, with the classes of the data.

    Args:
        args: of the command.
        data: to train on.
        **measured: arguments of `MaskRCNN` that tell of its pixels, where they are not RGB.
    """
    from keras_maskrcnn import MaskRCNN
    from keras_maskrcnn.checks import known_names
    from keras_maskrcnn.models.settings import PARTS, merge_arguments
    from keras_maskrcnn.parts import setting_names

    settings = parse_settings(args.set)
    known = (*setting_names(MaskRCNN), *(f"{part}.SETTING" for part in (*PARTS, "mask")))
    known_names("--set", [name for name in settings if "." not in name], known)
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
    backbone: dict[str, Any] = {"name": args.backbone}
    if args.weights is None:
        backbone["freeze_at"] = 0
        if args.backbone.startswith(("res", "regnet")):
            backbone["norm"] = "batch"
    arguments |= {"backbone": backbone, "weights": args.weights}
    return MaskRCNN(**merge_arguments(arguments, settings))
