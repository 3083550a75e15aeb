"""`maskrcnn predict CLIP.mp4`: videos, each with a table and an overlay."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_maskrcnn.cli.options import load_model, refuse, say, split_thresholds
from keras_maskrcnn.cli.output_names import output_names
from keras_maskrcnn.optional import needed_for

# A file is a video by its name, as a picture is.
_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg"),
    *(".ts", ".mts", ".m2ts", ".3gp", ".ogv", ".wmv", ".flv"),
)
# Of many frames that are lost, how many are named.
_NAMED = 5
# What is of videos alone.
_OF_VIDEO = {"every": "--every"}
# What goes with pictures that are drawn one by one, or with archives of them.
_NOT_WITH_VIDEO = {
    "counts": "--counts",
    "display": "--display",
    "annotations": "--annotations",
    "server": "--server",
    "tile": "--tile",
    "overlap": "--overlap",
    "tta": "--tta",
    "geojson": "--geojson",
    "input": "--input",
    "format": "--format",
    "part_size": "--part-size",
    "ray_workers": "--ray",
}


def video_arguments(parser: argparse.ArgumentParser) -> None:
    """What belongs to videos."""
    group = parser.add_argument_group(
        "videos",
        "A file is a video by its suffix: .mp4, .mov, .mkv, .avi, .webm and the like.\n"
        "The output folder receives NAME.mp4, with the objects drawn into each frame,\n"
        "and NAME.jsonl, a table of them with their frames and times.\n"
        'pip install "maskrcnn-keras[video]"',
    )
    group.add_argument(
        "--every", type=int, metavar="N", help="look at every Nth frame (default: at all)"
    )


def is_video_name(path: str) -> bool:
    """Whether a path ends as a video's, in any case."""
    return path.lower().endswith(_SUFFIXES)


def find_videos(args: argparse.Namespace) -> list[str]:
    """The videos among what was given, once each; none where it is pictures.

    Raises:
        ValueError: for videos beside others, for options that do not go with videos, and for
            those that go with videos alone.
    """
    videos = [path for path in args.pictures if is_video_name(path) and not Path(path).is_dir()]
    if not videos:
        refuse(args, _OF_VIDEO, "only with videos")
        return []
    others = [path for path in args.pictures if path not in videos]
    if others:
        raise ValueError(
            "Expected pictures or videos, one kind at a time. "
            f"Received: {others[0]} and {videos[0]}"
        )
    refuse(args, _NOT_WITH_VIDEO, "only with pictures, not with videos")
    return list(dict.fromkeys(videos))


def run_videos(args: argparse.Namespace, videos: Sequence[str], threshold: float) -> int:
    """Predicts video by video; returns 1 when one, or a frame of one, could not be read."""
    from keras_maskrcnn.checks import at_least

    thresholds, default = split_thresholds(args.threshold, threshold)
    every = 1 if args.every is None else args.every
    batch_size = {} if args.batch_size is None else {"batch_size": args.batch_size}
    at_least(1, every=every, **batch_size)
    with needed_for("video", "maskrcnn-keras[video]"):
        import av  # noqa: F401  Before the model is loaded.
    model = load_model(args.model, args.weights_file)

    import keras

    from keras_maskrcnn.inference.video import predict_video

    failed = False
    for video, name in zip(
        videos, output_names([Path(video) for video in videos], ".mp4"), strict=True
    ):
        overlay = Path(args.output) / name
        table = overlay.with_suffix(".jsonl")
        bar = keras.utils.Progbar(None, unit_name="frame")

        def tell(done: int, count: int | None, bar: keras.utils.Progbar = bar) -> None:
            bar.target = count
            bar.update(done)

        try:
            summary = predict_video(
                model,
                video,
                table=table,
                overlay=overlay,
                every=every,
                threshold=default,
                class_thresholds=thresholds,
                tell=tell,
                **batch_size,
            )
        except ValueError as error:
            print(error, file=sys.stderr)
            failed = True
            continue
        codec = "" if summary.codec == "H.264" else f" ({summary.codec}: no encoder of H.264 here)"
        found = f"{summary.objects} objects in {summary.frames} frames"
        say(f"{found}: {overlay}{codec}, {table}")
        for number, fault in list(summary.faults.items())[:_NAMED]:
            print(f"{video}: frame {number}: {fault}", file=sys.stderr)
        if summary.faults:
            print(
                f"{video}: {len(summary.faults)} frames are lost or damaged, named in the table",
                file=sys.stderr,
            )
            failed = True
    return int(failed)
