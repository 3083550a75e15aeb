"""Mistakes in the options of `maskrcnn train`, found before TensorFlow is imported."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from keras_maskrcnn.cli.data import find_format
from keras_maskrcnn.cli.options import is_preset
from keras_maskrcnn.cli.train_choices import complete, is_own_model, training_options
from keras_maskrcnn.cli.train_settings import check_settings

if TYPE_CHECKING:
    from keras_maskrcnn.training import TrainingOptions

# Of `backbones.residual.STAGES`.
_STAGES = 5


def checked(
    args: argparse.Namespace, *, is_begun: bool = False
) -> tuple[argparse.Namespace, TrainingOptions]:
    """The complete arguments, and the options of the training.

    Args:
        args: of the command.
        is_begun: whether they are those of a run that goes on from a file of its own: they are
            complete, and what it began with need not be there any more.

    Raises:
        ValueError: for whatever can be told to be wrong without a model.
    """
    if not is_begun:
        _check_weights(args)
        args = complete(args)
    options = training_options(args)
    if args.find_learning_rate and args.resume is not None:
        raise ValueError("Expected --find-learning-rate without --resume. Received: both")
    if args.freeze_at is not None and not 0 <= args.freeze_at <= _STAGES:
        raise ValueError(
            f"Expected --freeze-at from 0 to {_STAGES}. Received: --freeze-at {args.freeze_at}"
        )
    if not is_begun:
        check_settings(args)
    _check_places(args)
    return args, options


def _check_weights(args: argparse.Namespace) -> None:
    from keras_maskrcnn.checks import nearest
    from keras_maskrcnn.models.presets import PRESETS

    weights = args.weights
    if is_preset(weights):
        if args.weights_file is not None and not Path(args.weights_file).is_file():
            raise ValueError(f"Expected a file. Received: --weights-file {args.weights_file}")
    elif weights not in (None, "imagenet") and not (
        is_own_model(weights) or Path(weights).is_file()
    ):
        raise ValueError(
            'Expected "imagenet", a weights file, a trained model (.keras) or its run folder, or '
            f"the name of a published model.{nearest(weights, tuple(PRESETS))} "
            f"Received: --weights {weights}"
        )


def _check_places(args: argparse.Namespace) -> None:
    if args.train is None and args.val is None:
        if args.data is None:
            raise ValueError("Expected --data FOLDER or --train ANNOTATIONS IMAGES")
        find_format(args)
        return
    for split in ("train", "val"):
        if getattr(args, split) is None:
            raise ValueError(f"Expected --{split} ANNOTATIONS IMAGES, too")
    if args.data is not None:
        raise ValueError("Expected either --data or --train and --val. Received: both")
    for split in ("train", "val"):
        for place in getattr(args, split):
            if not Path(place).exists():
                raise ValueError(
                    f"Expected an annotation file and a picture folder. Received: --{split} {place}"
                )
