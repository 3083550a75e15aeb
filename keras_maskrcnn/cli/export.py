"""`maskrcnn export`."""

from __future__ import annotations

import argparse
from typing import Any

from keras_maskrcnn.cli.data import read_pair
from keras_maskrcnn.cli.options import load_model, model_arguments, say
from keras_maskrcnn.cli.run_data import READING, as_in_its_run
from keras_maskrcnn.cli.run_tiles import tell_no_tiles
from keras_maskrcnn.names import EXPORTS

_DESCRIPTION = """\
Write a model for TensorFlow Serving, ONNX or LiteRT.

A SavedModel goes into a numbered folder OUTPUT/1, OUTPUT/2, ..., and needs nothing but a stock
TensorFlow Serving: it takes pixels or picture files of any size, and answers in their pixels.
ONNX and LiteRT files (OUTPUT must end with .onnx or .tflite) hold the network alone; ONNX files are
for ONNX Runtime, OpenVINO and TensorRT alike.
"""

_EPILOG = """\
examples:
  maskrcnn export runs/photos --output served/photos
  maskrcnn export best.keras --output served/photos --rle-masks --score-threshold 0.5
  maskrcnn export best.keras --output photos.onnx --format onnx
  maskrcnn export runs/photos --output photos.onnx --format onnx --int8 photos
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
        "--batch-size",
        type=_batch_size,
        metavar="N",
        help="pictures of a call of an ONNX file: 1 by default, or any, which OpenVINO and "
        "TensorRT do not read",
    )
    parser.add_argument(
        "--score-threshold", type=float, metavar="SCORE", help="default: the model's own"
    )
    parser.add_argument(
        "--max-detections", type=int, metavar="N", help="objects per picture: the model's own"
    )
    parser.add_argument("--nms-iou", type=float, metavar="IOU", help="default: the model's own")
    parser.add_argument(
        "--int8",
        metavar="FOLDER",
        help="quantise an ONNX file to int8, calibrated on the training pictures of this data "
        "folder; AP before and after, on its pictures for validation, is printed and written "
        "beside the file",
    )
    parser.add_argument(
        "--max-loss",
        type=float,
        metavar="POINTS",
        help="of AP that --int8 may cost; beyond, nothing is written (default: 1)",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Loads the model and writes it."""
    if args.int8 is not None and args.format != "onnx":
        raise ValueError(f"Expected --int8 only with --format onnx. Received: {args.format}")
    if args.int8 is None and args.max_loss is not None:
        raise ValueError("Expected --max-loss only with --int8")
    model = load_model(args.model, args.weights_file)
    options = {
        "version": args.version,
        "rle_masks": args.rle_masks,
        "max_pixels": args.max_pixels,
        "input_dtype": args.input_dtype,
        "batch_size": args.batch_size,
        "score_threshold": args.score_threshold,
        "max_detections": args.max_detections,
        "nms_iou": args.nms_iou,
    }
    if args.int8 is not None:
        say(_export_int8(args, model, options))
        return 0

    from keras_maskrcnn.export import export_model

    say(f"exported: {export_model(model, args.output, args.format, **options)}")
    return 0


def _export_int8(args: argparse.Namespace, model: Any, options: dict[str, Any]) -> str:
    """What was written, and what it cost."""
    from keras_maskrcnn.export import export_int8

    tell_no_tiles(args.model, "Pictures for int8")
    unsaid = dict.fromkeys((*READING, "channels", "value_range", "display"))
    reading = argparse.Namespace(**{**unsaid, "model": args.model, "data": args.int8})
    train, val, _ = read_pair(as_in_its_run(reading))
    for data in (train, val):
        data.pixels = model.pixels
    report = export_int8(
        model,
        args.output,
        calibration=train,
        validation=val,
        max_loss=1.0 if args.max_loss is None else args.max_loss,
        **options,
    )
    return f"AP of float32 and of int8: {report.summary()}\nexported: {report.file}"


def _batch_size(word: str) -> int | str:
    return word if word == "any" else int(word)
