"""`maskrcnn benchmark`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from keras_maskrcnn.cli.data import DATA_HELP, augment_argument, data_arguments, read_split
from keras_maskrcnn.cli.options import (
    augment_choice,
    load_model,
    model_arguments,
    pictures_argument,
    say,
)
from keras_maskrcnn.cli.run_tiles import tell_no_tiles

_DESCRIPTION = f"""\
Measure how fast a model predicts on this machine, and with --data how fast it trains: median of
repeated steps, pictures a second, and the most memory that was taken. The first step, which also
makes the graph, is told apart.

{DATA_HELP}
"""

_EPILOG = """\
examples:
  maskrcnn benchmark runs/photos holiday/*.jpg
  maskrcnn benchmark mask_rcnn_R_50_FPN --size 800 1088 --batch-size 1 4
  maskrcnn benchmark runs/photos --data photos --batch-size 2 --output speed.json
"""

# Height and width of the pictures of noise: those of COCO at the published models' size.
_SIZE = (800, 1088)


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "benchmark",
        help="measure speed and memory of a model on this machine",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    model_arguments(parser)
    pictures_argument(parser, "picture files to predict on (default: one of noise)")
    parser.add_argument(
        "--size",
        type=int,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help=f"of the picture of noise (default: {_SIZE[0]} {_SIZE[1]})",
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        nargs="+",
        metavar="N",
        default=[1],
        help="pictures of a step, each number in turn: 1",
    )
    parser.add_argument(
        "--runs", type=int, metavar="N", default=10, help="timed steps of each: %(default)s"
    )
    data_arguments(parser)
    parser.add_argument("--split", default="train", help="split of the data: %(default)s")
    parser.add_argument("--seed", type=int, metavar="N", help="as in train (default: 0)")
    augment_argument(parser)
    parser.add_argument("--output", metavar="FILE", help="write the numbers as JSON, too")
    return parser


def run(args: argparse.Namespace) -> int:
    """Measures, and prints a table."""
    if args.pictures and args.size:
        raise ValueError("Expected either pictures or --size. Received: both")
    for picture in args.pictures:
        if not Path(picture).is_file():
            raise ValueError(f"Expected a picture file. Received: {picture}")
    data = None if args.data is None else read_split(args)
    model = load_model(args.model, args.weights_file)
    tell_no_tiles(args.model, "Pictures")

    from keras_maskrcnn.training.speed import predict_speed, speed_table, training_speed

    pictures = args.pictures or [_noise(model, args.size or _SIZE)]
    rows = [
        predict_speed(model, pictures, batch_size=size, runs=args.runs) for size in args.batch_size
    ]
    if data is not None:
        augment = augment_choice(args.augment)
        rows += [
            training_speed(model, data, batch_size=size, augment=augment, runs=args.runs)
            for size in args.batch_size
        ]
        seconds = len(data) / rows[-1].pictures_per_second
    say(speed_table(rows))
    if data is not None:
        say(f"An epoch of the {len(data)} pictures takes {seconds / 60:.1f} minutes")
    if args.output is not None:
        content = {"model": args.model, "measured": [row.to_json() for row in rows]}
        Path(args.output).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0


def _noise(model: Any, size: tuple[int, int]) -> Any:
    """A picture of that height and width, as the model's pictures are."""
    import numpy as np

    channels = model.pixels.channels
    return np.random.default_rng(0).integers(0, 256, (*size, channels), np.uint8)
