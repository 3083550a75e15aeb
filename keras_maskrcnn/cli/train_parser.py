"""The options of `maskrcnn train`."""

from __future__ import annotations

import argparse
from typing import Any

from keras_maskrcnn import names
from keras_maskrcnn.cli.data import DATA_HELP, augment_argument, data_arguments
from keras_maskrcnn.cli.options import tile_arguments, weights_file_argument
from keras_maskrcnn.cli.training_arguments import training_arguments

_DESCRIPTION = f"""\
Train Mask R-CNN on annotated pictures.

{DATA_HELP}
The run folder receives config.json, history.csv, log.txt, best.keras (by mask AP on the
validation pictures, or by --monitor), last.keras, learning_curves.png and predictions.png.
"""

_EPILOG = """\
examples:
  maskrcnn train --data photos --weights imagenet --output runs/photos
  maskrcnn train --data export --format-set crowd=objects --val-fraction 0.1
  maskrcnn train --train cells/train.json cells/images --val cells/val.json cells/images \\
      --weights resnet50.npz --min-size 512 --epochs 30 --schedule cosine
  maskrcnn train --data photos --weights mask_rcnn_R_50_FPN
  maskrcnn train --data photos --backbone resnet18 --set backbone.norm=group
  maskrcnn train --data photos --weights runs/cells --freeze backbone --freeze-epochs 2
  maskrcnn train --data photos --weights imagenet --find-learning-rate
  maskrcnn train --data photos --weights imagenet --minutes 60 --ema 0.999 --patience 5
  maskrcnn train --data photos --augment standard copy_paste --sampling-set empty_share=0.1
  maskrcnn train --data surveys --weights imagenet --tile 1024 --overlap 128
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
    tile_arguments(
        data,
        "train on crops of this side of the pictures in their own size, which shift from epoch to "
        "epoch, and validate in tiles, in place of --min-size and --max-size",
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
        help='"imagenet" (downloaded by Keras), a weights file of a backbone, a published model '
        "(`maskrcnn presets`), or a model that was trained here (.keras, or its run folder): of a "
        "whole model all is kept but, for other classes, the layers that depend on them (default: "
        "random weights, with batch normalisation trained and nothing frozen)",
    )
    weights_file_argument(model)
    model.add_argument(
        "--min-size",
        type=int,
        nargs="+",
        metavar="PIXELS",
        help="shorter side after resizing; of several, one is drawn for each picture and the "
        "largest is used in evaluation (default: 800, or the whole model's)",
    )
    model.add_argument(
        "--max-size",
        type=int,
        metavar="PIXELS",
        help="limit of the longer side (default: 1333, or the whole model's)",
    )
    model.add_argument(
        "--freeze-at",
        type=int,
        metavar="N",
        help="how many of the backbone's stem, res2, res3, ... never train, as detectron2 counts: "
        "0 freezes nothing, 5 the whole (default: 2 with weights of a backbone and 0 without, or "
        "the whole model's)",
    )
    model.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other setting of MaskRCNN or of a part of it, such as size_divisor=64, "
        "rpn.samples=128, mask.dim=128, backbone.norm=group",
    )

    training_arguments(parser)

    run = parser.add_argument_group("run")
    run.add_argument(
        "--output", default="runs/train", metavar="FOLDER", help="run folder (default: %(default)s)"
    )
    run.add_argument(
        "--resume",
        metavar="FOLDER",
        help="go on with an interrupted run, with the options it was started with",
    )
    run.add_argument(
        "--find-learning-rate",
        action="store_true",
        help="instead of training, take 100 steps whose rate grows until the loss explodes, draw "
        "learning_rate.png into the run folder, and suggest a --learning-rate",
    )
    run.add_argument(
        "--tensorboard",
        action="store_true",
        help="write losses, metrics, learning rate and pictures of predictions for TensorBoard "
        "into the folder tensorboard of the run, too",
    )
    return parser
