"""`maskrcnn predict --input`: archives of pictures, written part by part."""

from __future__ import annotations

import argparse
import os
import sys

from keras_maskrcnn.cli.options import load_model, refuse, say, split_thresholds

# Of many pictures that could not be read, how many are named.
_NAMED = 5
# What is of archives alone, with the names that `predict_many` has for it.
_OF_INPUT = {
    "format": "--format",
    "part_size": "--part-size",
    "batch_size": "--batch-size",
    "ray_workers": "--ray",
}
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
    group.add_argument("--part-size", type=int, metavar="N", help="pictures a part (default: 1000)")
    group.add_argument(
        "--batch-size",
        type=int,
        metavar="N",
        help="pictures that the model sees side by side (default: 8; frames of a video: 4)",
    )
    group.add_argument(
        "--ray",
        type=int,
        dest="ray_workers",
        metavar="N",
        help="do parts side by side, by N workers of Ray Data: on the cluster of RAY_ADDRESS, or "
        'on this machine (pip install "maskrcnn-keras[ray]")',
    )


def check_archive(args: argparse.Namespace) -> None:
    """Whether the options go together.

    Raises:
        ValueError: for pictures beside `--input` or neither, and what belongs to one of them.
    """
    if args.input is None:
        if not args.pictures:
            raise ValueError("Expected pictures, or --input for an archive of them")
        refuse(args, _OF_INPUT, "only with --input")
    elif args.pictures:
        raise ValueError(
            f"Expected pictures or --input. Received: {args.pictures[0]} and --input {args.input}"
        )
    else:
        refuse(args, _NOT_WITH_INPUT, "only with pictures, not with --input")


def run_archive(args: argparse.Namespace, threshold: float) -> int:
    """Predicts part by part; returns 1 when a picture could not be read."""
    from keras_maskrcnn.inference.many.listing import list_pictures

    thresholds, default = split_thresholds(args.threshold, threshold)
    paths = list_pictures(args.input)
    if args.ray_workers is not None:
        # This process only lends its model: the memory of GPUs is for workers.
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    model = load_model(args.model, args.weights_file)

    import keras

    from keras_maskrcnn.inference.many import predict_many

    given = {name: getattr(args, name) for name in _OF_INPUT if getattr(args, name) is not None}
    bar = keras.utils.Progbar(len(paths), unit_name="picture")
    summary = predict_many(
        model,
        paths,
        args.output,
        **given,
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
