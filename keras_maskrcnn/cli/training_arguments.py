"""The options of `maskrcnn train` that are those of `TrainingOptions`."""

from __future__ import annotations

import argparse
from typing import Any

from keras_maskrcnn import names


def training_arguments(parser: argparse.ArgumentParser) -> None:
    """Groups of options: how long, which updates, what trains, what is measured."""
    _length(parser.add_argument_group("training: how long"))
    _updates(parser.add_argument_group("training: updates of the weights"))
    _freezing(parser.add_argument_group("training: what does not train at first"))
    _evaluation(parser.add_argument_group("training: evaluation"))


def _length(group: Any) -> None:
    group.add_argument(
        "--epochs", type=int, metavar="N", help="passes over the training pictures (default: 12)"
    )
    group.add_argument(
        "--minutes",
        type=float,
        metavar="MINUTES",
        help="train as long, evaluations included, instead of --epochs; the learning rate falls "
        "with the time",
    )
    group.add_argument(
        "--patience",
        type=int,
        metavar="N",
        help="end after N evaluations in a row without a better --monitor (default: never)",
    )
    group.add_argument(
        "--seed",
        type=int,
        metavar="N",
        default=0,
        help="of fresh weights, order, augmentation and split (default: %(default)s)",
    )


def _updates(group: Any) -> None:
    group.add_argument(
        "--batch-size",
        type=int,
        metavar="N",
        default=2,
        help="pictures per step, of all workers together (default: %(default)s)",
    )
    group.add_argument(
        "--accumulate",
        type=int,
        metavar="STEPS",
        default=1,
        help="steps whose gradients are averaged to one update, where memory has no room for a "
        "larger batch (default: %(default)s)",
    )
    group.add_argument(
        "--optimizer", choices=names.OPTIMIZERS, default="sgd", help="default: %(default)s"
    )
    group.add_argument(
        "--learning-rate",
        type=float,
        metavar="RATE",
        help="highest rate (default: .02 per 16 pictures of an update for sgd, 2e-4 for adam)",
    )
    group.add_argument(
        "--schedule",
        choices=names.DECAYS,
        default="step",
        help="after the warm-up: a tenth after 2/3 and again after 8/9 of the run, a cosine down "
        "to 0, or no fall (default: %(default)s)",
    )
    group.add_argument(
        "--warmup-steps",
        type=int,
        metavar="N",
        help="updates of linear warm-up (default: a tenth of the run, at most 1000)",
    )
    group.add_argument(
        "--clip-norm",
        type=float,
        default=10.0,
        metavar="NORM",
        help="limit of the gradient's norm (default: %(default)s)",
    )
    group.add_argument(
        "--ema",
        type=float,
        metavar="MOMENTUM",
        help="evaluate and keep a moving average of the weights, such as 0.999 for runs of some "
        "thousand updates (default: no average)",
    )
    group.add_argument(
        "--mixed-precision", action="store_true", help="compute in bfloat16, geometry in float32"
    )


def _freezing(group: Any) -> None:
    group.add_argument(
        "--freeze",
        choices=names.FREEZES,
        help="the backbone, so that neck, RPN and heads train; or all but the heads (default: "
        "nothing beyond --freeze-at)",
    )
    group.add_argument(
        "--freeze-epochs",
        type=int,
        metavar="N",
        help="epochs until all trains (default: the whole run)",
    )


def _evaluation(group: Any) -> None:
    group.add_argument(
        "--evaluate-every",
        type=int,
        default=1,
        metavar="EPOCHS",
        help="epochs between COCO evaluations (default: %(default)s)",
    )
    group.add_argument(
        "--monitor",
        metavar="NAME",
        help="what the best epoch has the best of on the validation pictures: mask_ap, mask_ap50, "
        "box_ap, keypoint_ap and others of COCO's numbers, or a loss such as loss or mask_loss, of "
        "which less is better (default: mask_ap, or box_ap without masks)",
    )
