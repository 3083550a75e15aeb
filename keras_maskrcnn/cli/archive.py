"""`maskrcnn predict --input`: archives of pictures, written part by part."""

from __future__ import annotations

import argparse
import sys

from keras_maskrcnn.cli.options import load_model, say, split_thresholds

_PART_SIZE = 1000
_BATCH_SIZE = 8
# Of many pictures that could not be read, how many are named.
_NAMED = 5
# What goes with pictures that are drawn one by one.
_NOT_WITH_INPUT = {
    "counts": "--counts",
    "display": "--display",
    "annotations": "--annotations",
    "server": "--server",
    "tile": "--tile",
    "tta": "--tta",
    "geojson": "--geojson",
}


def archive_arguments(parser: argparse.ArgumentParser) -> None:
    """`--input` and what belongs to it."""
    group = parser.add_argument_group(
        "archives of pictures",
        "With --input nothing is drawn: the output folder receives tables of pictures and\n"
        "objects, part by part, in little memory. The same command goes on after a kill.",
    )
    group.add_argument(
        "--input",
        metavar="WHAT",
        help="folder, with those within; text file with a path a line; or pattern, such as "
        "'2024/**/*.jpg'; also in a bucket (gs://...) that TensorFlow reads",
    )
    group.add_argument(
        "--format",
        choices=("jsonl", "parquet"),
        help="of the tables (default: jsonl, lines of JSON)",
    )
    group.add_argument(
        "--part-size", type=int, metavar="N", help=f"pictures a part (default: {_PART_SIZE})"
    )
    group.add_argument(
        "--batch-size",
        type=int,
        metavar="N",
        help=f"pictures that the model sees side by side (default: {_BATCH_SIZE})",
    )


def check_archive(args: argparse.Namespace) -> None:
    """Whether the options go together.

    Raises:
        ValueError: for pictures beside `--input` or neither, and what belongs to one of them.
    """
    if args.input is None:
        if not args.pictures:
            raise ValueError("Expected pictures, or --input for an archive of them")
        alone = {"format": "--format", "part_size": "--part-size", "batch_size": "--batch-size"}
        _refuse(args, alone, "only with --input")
    elif args.pictures:
        raise ValueError(
            f"Expected pictures or --input. Received: {args.pictures[0]} and --input {args.input}"
        )
    else:
        _refuse(args, _NOT_WITH_INPUT, "only with pictures, not with --input")


def _refuse(args: argparse.Namespace, options: dict[str, str], when: str) -> None:
    for name, option in options.items():
        # Neither given nor set.
        if getattr(args, name) not in (None, False):
            raise ValueError(f"Expected {option} {when}")


def run_archive(args: argparse.Namespace, threshold: float) -> int:
    """Predicts part by part; returns 1 when a picture could not be read."""
    from keras_maskrcnn.inference.many.listing import list_pictures

    thresholds, default = split_thresholds(args.threshold, threshold)
    paths = list_pictures(args.input)
    model = load_model(args.model, args.weights_file)

    import keras

    from keras_maskrcnn.inference.many import predict_many

    bar = keras.utils.Progbar(len(paths), unit_name="picture")
    summary = predict_many(
        model,
        paths,
        args.output,
        batch_size=args.batch_size or _BATCH_SIZE,
        part_size=args.part_size or _PART_SIZE,
        format=args.format or "jsonl",
        threshold=default,
        class_thresholds=thresholds,
        tell=lambda done, _: bar.update(done),
    )
    before = f" ({summary.there} more were there)" if summary.there else ""
    say(f"{summary.objects} objects in {summary.pictures} pictures{before}: {args.output}")
    for path, reason in list(summary.unread.items())[:_NAMED]:
        print(f"{path}: {reason}", file=sys.stderr)
    if summary.unread:
        print(
            f"Pictures that could not be read: {len(summary.unread)}, named in the tables",
            file=sys.stderr,
        )
    return 1 if summary.unread else 0
