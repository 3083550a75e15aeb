"""`maskrcnn predict`."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_maskrcnn.cli.archive import archive_arguments, check_archive, run_archive
from keras_maskrcnn.cli.data import display_argument
from keras_maskrcnn.cli.options import (
    check_tiling,
    load_model,
    model_arguments,
    pictures_argument,
    refuse_weights_file,
    say,
    split_thresholds,
    tile_arguments,
    tta_argument,
)
from keras_maskrcnn.cli.output_names import output_names
from keras_maskrcnn.cli.quiet import start_tensorflow
from keras_maskrcnn.cli.run_tiles import tell_no_tiles, with_tiles_of_run
from keras_maskrcnn.cli.video import find_videos, run_videos, video_arguments
from keras_maskrcnn.images.formats import is_picture_name, named, picture_formats

if TYPE_CHECKING:
    import numpy as np

    from keras_maskrcnn.images.pixels import PixelFormat
    from keras_maskrcnn.results import Detections

# Of many paths, how many are named.
_NAMED = 5
# Lowest score of classes for which none is given.
_THRESHOLD = 0.5

_DESCRIPTION = """\
Find objects in pictures and videos.

For each picture NAME.EXT the output folder receives NAME.png with the objects drawn into it.
predictions.json holds all of them in COCO's results format, in pixels of the upright
pictures, with the picture's file and the class name added to each.
Picture and category ids are those of --annotations, or else counted from 1.
--counts FILE writes how many objects each picture has of each class, 0 included, as CSV.
--geojson writes NAME.geojson beside each NAME.png: outlines in the reference system of a
GeoTIFF or world file, or in pixels of a picture that has no georeference.

A video becomes a video with the objects drawn into it, and a table: see below.
With --input an archive of pictures becomes tables: see below.
A run that was trained with --tile looks at pictures in tiles of that side.
With --server the pictures go to a TensorFlow Serving that holds the model, and none is loaded here.
"""

_EPILOG = """\
examples:
  maskrcnn predict runs/photos holiday.jpg
  maskrcnn predict best.keras pictures/ more/*.png --threshold 0.7 --output found
  maskrcnn predict mask_rcnn_R_50_FPN holiday.jpg
  maskrcnn predict runs/photos pictures/ --threshold 0.5 --threshold cat=0.8 --counts counts.csv
  maskrcnn predict runs/photos holiday.jpg --tta
  maskrcnn predict runs/fields survey.tif --tile 1024 --overlap 256 --geojson
  maskrcnn predict runs/photos clip.mp4 --every 2
  maskrcnn predict runs/photos --input archive/ --output found --format parquet
  maskrcnn predict photos holiday.jpg --server http://localhost:8501
"""


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "predict",
        help="find objects in pictures and videos",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    model_arguments(parser, more="; the model's name on the --server")
    pictures_argument(parser, "picture files, or folders of them; or videos")
    parser.add_argument(
        "--output", default="predictions", metavar="FOLDER", help="output folder: %(default)s"
    )
    parser.add_argument(
        "--threshold",
        action="append",
        default=[],
        metavar="[NAME=]SCORE",
        help=f"lowest score that is drawn and written, of all classes or of one: {_THRESHOLD}; "
        "may be given several times",
    )
    tta_argument(parser)
    tile_arguments(parser)
    parser.add_argument(
        "--counts", metavar="FILE", help="write the objects per picture and class as CSV"
    )
    parser.add_argument(
        "--geojson",
        action="store_true",
        help="write the outlines of each picture for maps, in its georeference where it has one",
    )
    display_argument(parser)
    parser.add_argument(
        "--annotations", metavar="FILE", help="COCO JSON file to take ids from, by file name"
    )
    parser.add_argument(
        "--server",
        metavar="URL",
        help="TensorFlow Serving: http://HOST:8501 (REST), grpc://HOST:8500, https or grpcs",
    )
    video_arguments(parser)
    archive_arguments(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Predicts, draws and writes; returns 1 when a picture could not be read."""
    videos = find_videos(args)
    if videos:
        tell_no_tiles(args.model, "Frames")
        return run_videos(args, videos, _THRESHOLD)
    check_archive(args)
    if args.input is not None:
        tell_no_tiles(args.model, "Pictures of an archive")
        return run_archive(args, _THRESHOLD)
    thresholds, default = split_thresholds(args.threshold, _THRESHOLD)
    if not args.server:
        args = with_tiles_of_run(args)
    check_tiling(args)
    files, skipped, missing = find_pictures(args.pictures)
    if skipped:
        say(f"Skipped {len(skipped)} that are no pictures: {_named(skipped)}")
    predict, pixels = _ask_server(args) if args.server else _ask_model(args)
    image_ids, category_ids = _ids(args.annotations, files)

    import keras
    from PIL import Image

    from keras_maskrcnn.images.georeference import read_georeference
    from keras_maskrcnn.visualize import draw_detections

    output = Path(args.output)
    output.mkdir(parents=True, exist_ok=True)
    results: list[dict[str, Any]] = []
    counts: list[tuple[str, str, int]] = []
    unread: list[str] = []
    bar = keras.utils.Progbar(len(files), unit_name="picture")
    overlays = output_names(files, ".png")
    for file, overlay in zip(files, overlays, strict=True):
        try:
            # Before the prediction, which may take long.
            georeference = read_georeference(file) if args.geojson else None
            found = predict(file)
            image, shown = _picture(args, file, found, pixels)
        except ValueError as error:
            unread.append(str(error))
            bar.add(1)
            continue
        ids = category_ids(found.class_names)
        found = found.above(thresholds, default)
        drawn = draw_detections(image, shown.above(thresholds, default), threshold=0.0)
        Image.fromarray(drawn).save(output / overlay)
        if args.geojson:
            collection = json.dumps(found.to_geojson(georeference, ids))
            path = (output / overlay).with_suffix(".geojson")
            path.write_text(collection + "\n", encoding="utf-8")
        for result, name in zip(found.to_coco(image_ids[file], ids), found.names, strict=True):
            results.append({**result, "file_name": str(file), "category_name": str(name)})
        counts += [(str(file), name, number) for name, number in found.counts().items()]
        bar.add(1)
    (output / "predictions.json").write_text(json.dumps(results) + "\n", encoding="utf-8")
    if args.counts is not None:
        _write_counts(args.counts, counts)
    read = len(files) - len(unread)
    say(f"{len(results)} objects in {read} pictures: {output}")
    failed = missing + unread
    for message in failed:
        print(message, file=sys.stderr)
    if failed:
        print(f"{len(failed)} pictures or folders could not be read", file=sys.stderr)
    return 1 if failed else 0


def _picture(
    args: argparse.Namespace, file: Path, found: Detections, pixels: PixelFormat
) -> tuple[np.ndarray, Detections]:
    """What is drawn, and on what: of a picture that was looked at in tiles no more than fits."""
    if args.tile is not None:
        from keras_maskrcnn.inference.tiling.overview import overview
        from keras_maskrcnn.inference.tiling.pictures import as_large_picture

        return overview(as_large_picture(file, 0, pixels), found, pixels)
    from keras_maskrcnn.data.reading import read_image

    return pixels.displayed(read_image(file, pixels)), found


def _write_counts(path: str, counts: list[tuple[str, str, int]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("picture", "class", "count"), *counts])


def _named(paths: list[Path]) -> str:
    """The first few of many paths."""
    more = len(paths) - _NAMED
    return ", ".join(map(str, paths[:_NAMED])) + (f" and {more} more" if more > 0 else "")


def _ask_model(args: argparse.Namespace) -> tuple[Callable[[Path], Any], PixelFormat]:
    model = load_model(args.model, args.weights_file)
    display = None if args.display is None else tuple(args.display)
    pixels = dataclasses.replace(model.pixels, display=display)

    def ask(file: Path) -> Any:
        (found,) = model.predict(
            str(file), verbose=0, augment=args.tta, tile=args.tile, overlap=args.overlap
        )
        return found

    return ask, pixels


def _ask_server(args: argparse.Namespace) -> tuple[Callable[[Path], Any], PixelFormat]:
    start_tensorflow()

    from keras_maskrcnn.images.pixels import PixelFormat
    from keras_maskrcnn.serving import Client

    if args.display is not None:
        raise ValueError("Expected --display only without --server, whose models take RGB files")
    refuse_weights_file(args.weights_file, f"--server {args.server}")
    if args.tta or args.tile is not None:
        name = "--tta" if args.tta else "--tile"
        raise ValueError(f"Expected {name} only without --server, which looks at a picture once")
    client = Client(args.server, args.model)
    # The file is smaller than its pixels, and the server decodes it alike.
    return lambda file: client.predict(file)[0], PixelFormat()


def find_pictures(given: list[str]) -> tuple[list[Path], list[Path], list[str]]:
    """The given files, and the pictures in the given folders (not in folders below), once each.

    Returns:
        the pictures; what else lies in the folders; and a line for each path that is missing, or
        is a folder without pictures.

    Raises:
        ValueError: when there is no picture at all.
    """
    files: list[Path] = []
    skipped: list[Path] = []
    failed: list[str] = []
    for path in map(Path, given):
        try:
            if path.is_dir():
                inside = {p: _is_picture(p) for p in sorted(path.iterdir())}
                files.extend(p for p, is_picture in inside.items() if is_picture)
                skipped.extend(p for p, is_picture in inside.items() if not is_picture)
                if not any(inside.values()):
                    failed.append(
                        f"Expected pictures ({named(picture_formats())}) in the folder {path}"
                    )
            elif path.is_file():
                files.append(path)
            else:
                failed.append(f"No such picture or folder: {path}")
        except OSError as error:
            failed.append(f"Cannot read {path}: {error}")
    if not files:
        raise ValueError("; ".join(failed))
    return list(dict.fromkeys(files)), list(dict.fromkeys(skipped)), failed


def _is_picture(path: Path) -> bool:
    return is_picture_name(path) and path.is_file()


def _ids(
    annotations: str | None, files: list[Path]
) -> tuple[dict[Path, int], Callable[[Sequence[str]], list[int]]]:
    """Picture ids by file, and what gives the category id of each class."""
    if annotations is None:
        numbers = {file: i for i, file in enumerate(files, 1)}
        return numbers, lambda names: list(range(1, len(names) + 1))
    content = json.loads(Path(annotations).read_text(encoding="utf-8"))
    by_name = {Path(image["file_name"]).name: image["id"] for image in content["images"]}
    missing = [file.name for file in files if file.name not in by_name]
    if missing:
        raise ValueError(
            f"Expected every picture to be listed in {annotations}. Received: {missing[0]} and "
            f"{len(missing) - 1} others that are not"
        )
    categories = {category["name"]: category["id"] for category in content["categories"]}

    def category_ids(names: Sequence[str]) -> list[int]:
        unknown = [name for name in names if name not in categories]
        if unknown:
            raise ValueError(
                f"Expected the model's classes among the categories of {annotations}, "
                f"{list(categories)}. Received: {unknown}"
            )
        return [categories[name] for name in names]

    return {file: by_name[file.name] for file in files}, category_ids
