"""The options of `maskrcnn train`."""

from __future__ import annotations

import argparse
from typing import Any

from keras_maskrcnn import names
from keras_maskrcnn.cli.data import DATA_HELP, augment_argument, data_arguments
from keras_maskrcnn.cli.options import weights_file_argument

_DESCRIPTION = f"""\
Train Mask R-CNN on annotated pictures.

{DATA_HELP}
The run folder receives config.json, history.csv, log.txt, best.keras (by mask AP on the
validation pictures), last.keras, learning_curves.png and predictions.png.
"""

_EPILOG = """\
examples:
  maskrcnn train --data photos --weights imagenet --output runs/photos
  maskrcnn train --data export --format-set crowd=objects --val-fraction 0.1
  maskrcnn train --train cells/train.json cells/images --val cells/val.json cells/images \\
      --weights resnet50.npz --min-size 512 --epochs 30 --schedule cosine
  maskrcnn train --data photos --weights mask_rcnn_R_50_FPN
  maskrcnn train --data photos --backbone resnet18 --set backbone.norm=group
  maskrcnn train --data photos --augment standard copy_paste --sampling-set empty_share=0.1
  maskrcnn train --resume runs/photos
"""


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "train",
        help="train a model on annotated pictures",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    data = parser.add_argument_group("data")
    data_arguments(data)
    for split, use in (("train", "train on"), ("val", "validate on")):
        data.add_argument(
            f"--{split}",
            nargs=2,
            metavar=("ANNOTATIONS", "IMAGES"),
            help=f"COCO JSON file and picture folder to {use}, instead of --data",
        )
    augment_argument(data)
    data.add_argument(
        "--sampling",
        choices=names.SAMPLINGS,
        default="all",
        help="how often a picture comes in a pass: once; such that all classes come equally often; "
        "or the more often, the rarer its classes (default: %(default)s)",
    )
    data.add_argument(
        "--sampling-set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="setting of the sampling: empty_share=0.2 (part of a pass without objects), "
        "max_empty=100 (pictures), or threshold=0.01 of repeat_factor",
    )

    model = parser.add_argument_group("model")
    model.add_argument(
        "--backbone",
        metavar="NAME",
        help="resnet18, resnet50, resnext101_32x8d and others of these, regnetx_4gf, regnety_4gf, "
        "or a network of keras.applications such as MobileNetV3Large (default: resnet50, or the "
        "published model's)",
    )
    model.add_argument(
        "--weights",
        metavar="NAME|PATH",
        help='"imagenet" (downloaded by Keras), a weights file of a backbone, or a published model '
        "(`maskrcnn presets`), of which all is kept but the layers that depend on the classes; "
        "without it training starts from random weights, with batch normalisation trained and "
        "nothing frozen",
    )
    weights_file_argument(model)
    model.add_argument(
        "--min-size",
        type=int,
        nargs="+",
        metavar="PIXELS",
        help="shorter side after resizing; of several, one is drawn for each picture and the "
        "largest is used in evaluation (default: 800, or the published model's)",
    )
    model.add_argument(
        "--max-size",
        type=int,
        metavar="PIXELS",
        help="limit of the longer side (default: 1333, or the published model's)",
    )
    model.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other setting of MaskRCNN or of a part of it, such as size_divisor=64, "
        "rpn.samples=128, mask.dim=128, backbone.norm=group",
    )

    training = parser.add_argument_group("training")
    training.add_argument(
        "--epochs", type=int, metavar="N", default=12, help="default: %(default)s"
    )
    training.add_argument(
        "--batch-size", type=int, metavar="N", default=2, help="default: %(default)s"
    )
    training.add_argument(
        "--optimizer", choices=names.OPTIMIZERS, default="sgd", help="default: %(default)s"
    )
    training.add_argument(
        "--learning-rate",
        type=float,
        metavar="RATE",
        help="highest rate (default: .02 per 16 pictures for sgd, 2e-4 for adam)",
    )
    training.add_argument(
        "--schedule",
        choices=names.DECAYS,
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
