"""`maskrcnn demo`."""

from __future__ import annotations

import argparse
from typing import Any

from keras_maskrcnn.cli.options import say
from keras_maskrcnn.cli.quiet import start_tensorflow
from keras_maskrcnn.optional import needed_for

_DESCRIPTION = """\
Show the whole walk without network or data of your own: compose scenes of coins, cups,
horses, rings and stars on photographs, train a compact Mask R-CNN on them from random
weights, score it on scenes it has not seen, draw predictions beside ground truth, save the
model and load it again. Takes 8 minutes, in which 2 cores learn enough; more learn more.
"""


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "demo",
        help="train and evaluate on composed scenes, without network",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--output", default="runs/demo", metavar="FOLDER", help="run folder: %(default)s"
    )
    parser.add_argument("--minutes", type=float, help="of training (default: 6.3, of 8 in all)")
    parser.add_argument("--epochs", type=int, help="passes over the scenes, in place of a time")
    parser.add_argument("--scenes", type=int, help="training scenes (default: the demo's)")
    parser.add_argument("--seed", type=int, default=0, help="%(default)s")
    return parser


def run(args: argparse.Namespace) -> int:
    """Runs the demo."""
    start_tensorflow()
    with needed_for("the demo", "scikit-image scipy"):
        from keras_maskrcnn.demo.run import run_demo

    given = {"epochs": args.epochs, "minutes": args.minutes, "scenes": args.scenes}
    run_demo(
        args.output,
        seed=args.seed,
        say=say,
        **{name: value for name, value in given.items() if value is not None},
    )
    return 0
