"""`maskrcnn export`."""

from __future__ import annotations

import argparse
from typing import Any

from keras_maskrcnn.cli.options import load_model, model_arguments, say
from keras_maskrcnn.names import EXPORTS

_DESCRIPTION = """\
Write a model for TensorFlow Serving, ONNX or LiteRT.

A SavedModel goes into a numbered folder OUTPUT/1, OUTPUT/2, ..., and needs nothing but a stock
TensorFlow Serving: it takes pixels or picture files of any size, and answers in their pixels.
ONNX and LiteRT files (OUTPUT must end with .onnx or .tflite) hold the network alone.
"""

_EPILOG = """\
examples:
  maskrcnn export runs/photos --output served/photos
  maskrcnn export best.keras --output served/photos --rle-masks --score-threshold 0.5
  maskrcnn export best.keras --output photos.onnx --format onnx
"""


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "export",
        help="write a model for TensorFlow Serving, ONNX or LiteRT",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    model_arguments(parser)
    parser.add_argument("--output", required=True, metavar="PATH", help="folder or file to write")
    parser.add_argument(
        "--format",
        choices=EXPORTS,
        default="tf_saved_model",
        help="%(default)s by default",
    )
    parser.add_argument(
        "--version", type=int, metavar="N", help="number of the folder (default: the next)"
    )
    parser.add_argument(
        "--rle-masks", action="store_true", help="also return full-size masks, run-length encoded"
    )
    parser.add_argument(
        "--max-pixels",
        type=int,
        metavar="N",
        help="refuse picture files of more pixels (default: 100 million)",
    )
    parser.add_argument(
        "--input-dtype",
        choices=("uint8", "uint16", "float32"),
        help="type of the values that it takes (default: uint8, or what the model's range needs)",
    )
    parser.add_argument(
        "--score-threshold", type=float, metavar="SCORE", help="default: the model's own"
    )
    parser.add_argument(
        "--max-detections", type=int, metavar="N", help="objects per picture: the model's own"
    )
    parser.add_argument("--nms-iou", type=float, metavar="IOU", help="default: the model's own")
    return parser


def run(args: argparse.Namespace) -> int:
    """Loads the model and writes it."""
    model = load_model(args.model, args.weights_file)

    from keras_maskrcnn.export import export_model

    written = export_model(
        model,
        args.output,
        args.format,
        version=args.version,
        rle_masks=args.rle_masks,
        max_pixels=args.max_pixels,
        input_dtype=args.input_dtype,
        score_threshold=args.score_threshold,
        max_detections=args.max_detections,
        nms_iou=args.nms_iou,
    )
    say(f"exported: {written}")
    return 0
