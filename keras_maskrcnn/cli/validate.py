"""`maskrcnn validate`."""

from __future__ import annotations

import argparse
import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_maskrcnn.cli.data import data_arguments, is_there, reading_choice
from keras_maskrcnn.cli.options import load_model, say, size_arguments
from keras_maskrcnn.cli.quiet import start_tensorflow
from keras_maskrcnn.cli.run_tiles import with_tiles_of_run

if TYPE_CHECKING:
    from keras_maskrcnn.data.detection_data import DetectionData
    from keras_maskrcnn.doctor import Report
    from keras_maskrcnn.images.input_size import InputSize

_DESCRIPTION = """\
Read every picture and every annotation of a data folder, and say what is wrong with them, before
it costs a training. Annotations may be in any format that can be read.

The output folder receives report.html, one page with each finding drawn, and report.json.
The exit code is 0 where training makes sense, whatever the warnings, and 1 where it does not.

With --fix FILE.json a cleaned data set is written as COCO: FILE.json, or FILE_SPLIT.json for each
split. It replaces no file, changes none of the data, and leaves what only a person can decide.
"""

_EPILOG = """\
examples:
  maskrcnn validate --data photos
  maskrcnn validate --data photos --model runs/photos --output photos_report
  maskrcnn validate --data surveys --tile 1024
  maskrcnn validate --data photos --fix cleaned/instances.json
"""


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "validate",
        help="say what is wrong with a data set, with each finding drawn",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    data_arguments(parser, sets_aside=False, required=True)
    parser.add_argument(
        "--output", default="data_report", metavar="FOLDER", help="output folder: %(default)s"
    )
    parser.add_argument("--fix", metavar="FILE", help="write a cleaned COCO file, too")
    parser.add_argument(
        "--model", metavar="FILE", help="model or run folder whose input size and anchors count"
    )
    size_arguments(parser)
    parser.add_argument(
        "--tile",
        type=int,
        metavar="PIXELS",
        help="hold objects against pictures in their own size, as train --tile trains on crops of "
        "them; TIFF and .npy files may then have more than 100 megapixels",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Writes the report; returns 1 where training makes no sense."""
    if args.tile is not None and (args.min_size or args.max_size):
        raise ValueError(
            "Expected --tile without --min-size and --max-size: tiles are of the picture's own "
            f"size. Received: --tile {args.tile} with one of them"
        )
    args = with_tiles_of_run(args)
    splits = _read_splits(args.data, args.format or "auto", reading_choice(args))
    # Reading all pictures takes minutes: what cannot be written is said before.
    if args.fix:
        _require_files(splits)
    targets = _fix_files(Path(args.fix), list(splits)) if args.fix else {}
    start_tensorflow()  # It decodes JPEG files.
    model = load_model(args.model) if args.model else None
    size = _input_size(model, args.min_size, args.max_size)

    from keras_maskrcnn.doctor import validate

    report = validate(splits, model=model, input_size=size, tile=args.tile)
    report.save(args.output)
    say(report.summary())
    say(f"{Path(args.output) / 'report.html'}")
    if targets and report.makes_sense:
        _write_cleaned(report, targets)
    elif targets:
        say("No cleaned data were written.")
    return 0 if report.makes_sense else 1


def _read_splits(path: str, format: str, options: dict[str, Any]) -> dict[str, DetectionData]:
    from keras_maskrcnn.data import dataset_splits, load_dataset

    with warnings.catch_warnings():
        # They are findings of the report.
        warnings.simplefilter("ignore", UserWarning)
        if not is_there(path):
            raise ValueError(f"Expected a folder or an annotation file. Received: --data {path}")
        names = dataset_splits(path, format)
        if not names:
            data = load_dataset(path, format, **options)
            return {data.name: data}
        return {name: load_dataset(path, format, split=name, **options) for name in names}


def _input_size(model: Any, min_size: int | None, max_size: int | None) -> InputSize:
    from keras_maskrcnn.images.input_size import InputSize

    size = InputSize() if model is None else model.input_size
    return InputSize(min_size or size.min_size, max_size or size.max_size, size.divisor)


def _require_files(splits: dict[str, DetectionData]) -> None:
    """`ValueError` where pictures are no files, which a COCO file can name."""
    from keras_maskrcnn.data.shard_files import shard_place

    for data in splits.values():
        for record in data.records:
            if shard_place(record.path) is not None:
                raise ValueError(
                    "Expected pictures that are files where --fix writes cleaned data: "
                    "`maskrcnn convert --to coco` makes files of shards. "
                    f"Received: --fix with {record.path}"
                )


def _fix_files(file: Path, splits: list[str]) -> dict[str, Path]:
    """The file of each split.

    Raises:
        ValueError: where one is there already, or its name is none of a JSON file.
    """
    if file.suffix.lower() != ".json":
        raise ValueError(f"Expected a name that ends in .json. Received: --fix {file}")
    files = {splits[0]: file}
    if len(splits) > 1:
        plain = {split: re.sub(r"[^\w.-]", "_", split) for split in splits}
        files = {s: file.with_name(f"{file.stem}_{plain[s]}{file.suffix}") for s in splits}
    if len(set(files.values())) < len(files):
        raise ValueError(
            "Expected splits whose names differ in their letters and digits: of each, one file is "
            f"written. Received: splits {splits}"
        )
    for target in files.values():
        if os.path.lexists(target):
            raise ValueError(f"Expected a file that is not there yet. Received: --fix {target}")
    return files


def _write_cleaned(report: Report, files: dict[str, Path]) -> None:
    from keras_maskrcnn.data.formats.problems import count_reasons
    from keras_maskrcnn.data.writers.coco import write_coco
    from keras_maskrcnn.doctor import clean

    cleaned = clean(report)
    paths = [os.path.dirname(os.path.abspath(r.path)) for d in cleaned.values() for r in d.records]
    root = Path(os.path.commonpath(paths))
    for split, file in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        changed = write_coco(cleaned[split], file, root)
        objects = sum(len(record.objects) for record in cleaned[split].records)
        say(f"{file}: {len(cleaned[split])} pictures, {objects} objects; pictures in {root}")
        for line in count_reasons(changed.lines, changed.reasons):
            say(line)
