"""Parses the command line and turns errors in the user's data into one line."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from keras_maskrcnn.cli import (
    benchmark,
    convert,
    demo,
    evaluate,
    export,
    predict,
    presets,
    serve,
    show,
    train,
    validate,
)
from keras_maskrcnn.cli.quiet import quieten, verbose_argument
from keras_maskrcnn.cli.version import ShowVersion
from keras_maskrcnn.tensorflow_errors import pipeline_message, without_internals

# Characters of an error: those of a whole architecture that does not fit run to thousands.
_LONGEST = 2000

_EPILOG = """\
examples:
  maskrcnn demo
  maskrcnn validate --data photos
  maskrcnn show --data photos --augment standard
  maskrcnn train --data photos --weights imagenet --epochs 20 --output runs/photos
  maskrcnn evaluate runs/photos/best.keras --data photos
  maskrcnn predict runs/photos/best.keras holiday/*.jpg --output found
  maskrcnn presets
  maskrcnn convert --data photos --to yolo photos_yolo
  maskrcnn export runs/photos/best.keras --output served/photos
  maskrcnn serve served/photos
  maskrcnn benchmark runs/photos --data photos

`maskrcnn COMMAND --help` tells the options of a command.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: words of the command line after `maskrcnn`; `None`: those of this process.

    Returns:
        The exit code: 0; 1 when some pictures could not be read, training met a number that is not
        finite, or the data that were validated are not worth training on; 2 after an error in
        options or data, which is told in one line; 130 after an interrupt.
    """
    parser = build_parser()
    args = parser.parse_args(arguments)
    quieten(args.verbose)
    terminal = logging.StreamHandler()
    terminal.setLevel(logging.WARNING)
    logging.basicConfig(format="%(message)s", handlers=[terminal])
    try:
        with _warnings_in_a_line():
            return args.run(args)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        message = describe_error(error)
        if message is None or args.traceback:
            raise
        print(f"maskrcnn {args.command}: error: {message}", file=sys.stderr)
        return 2


@contextlib.contextmanager
def _warnings_in_a_line() -> Iterator[None]:
    """Shows warnings about a user's choices without the line of code that gave them."""
    stock = warnings.formatwarning

    def shown(message: Any, category: type[Warning], *place: Any, **line: Any) -> str:
        is_for_users = issubclass(category, UserWarning)
        return f"warning: {message}\n" if is_for_users else stock(message, category, *place, **line)

    warnings.formatwarning = shown
    try:
        yield
    finally:
        warnings.formatwarning = stock


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="maskrcnn",
        description="Train Mask R-CNN, evaluate it, and find objects and their masks in pictures.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action=ShowVersion, help="show the versions of what is installed, and exit"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    modules = (
        *(validate, show, train, evaluate, predict, presets),
        *(convert, export, serve, benchmark, demo),
    )
    for module in modules:
        command = module.add_parser(commands)
        command.set_defaults(run=module.run)
        command.add_argument(
            "--traceback", action="store_true", help="show where in the code an error arose"
        )
        verbose_argument(command)
    return parser


def describe_error(error: Exception) -> str | None:
    """One line for the user, or `None` when the error is not about options or data."""
    if isinstance(error, ValueError | OSError | ImportError):
        line = without_internals(str(error))
        return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ... (--traceback tells all)"
    return pipeline_message(error)
