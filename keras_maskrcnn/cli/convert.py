"""`maskrcnn convert`."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

from keras_maskrcnn import names
from keras_maskrcnn.cli.data import data_arguments, is_there, reading_choice, telling
from keras_maskrcnn.cli.options import say
from keras_maskrcnn.cli.quiet import start_tensorflow

if TYPE_CHECKING:
    from keras_maskrcnn.data import DetectionData

_THRESHOLD = 0.5

_DESCRIPTION = """\
Write a data set in another format, into a new folder with its pictures, or write what a model
found as annotations that a person corrects instead of drawing them.

The format of --data is found by what lies there; all splits are written unless --split says one.
Pictures are copied; with --link they are hard links, which take no space. What the new format
cannot hold (crowd regions, keypoints, holes, objects that overlap) is counted and told.

`tfrecord` is for many pictures and for buckets: some large files (--shards of each split) in place
of many small ones, with an index; it holds everything as it is.

With --predictions FILE, COCO results become the annotations: predictions.json of `maskrcnn predict`
with --images FOLDER, the folder of its pictures; or results of `maskrcnn evaluate --save-results`
with the --data whose ids they have. Masks become polygons; every object keeps its score where the
format has a place for it. With --order uncertainty the pictures come first in which most mistakes
are to be expected: those with the largest sum of min(score, 1 - score) over their objects, also
those below --threshold. For `labelme`, which shows pictures by name, names then begin
with a number.
"""

_EPILOG = """\
examples:
  maskrcnn convert --data photos --to yolo photos_yolo
  maskrcnn convert --data export.xml --split train --to coco photos_coco --link
  maskrcnn convert --data photos --to tfrecord --shards 16 photos_shards
  maskrcnn convert --predictions predictions/predictions.json --images new \\
      --to cvat to_correct --order uncertainty
"""


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "convert",
        help="write a data set, or predictions, in the format of another tool",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("output", metavar="OUT", help="new folder")
    data_arguments(parser, sets_aside=False)
    parser.add_argument("--to", required=True, choices=names.WRITERS, help="format to write")
    parser.add_argument("--split", help="the one split of --data to write (default: all)")
    parser.add_argument("--images", metavar="FOLDER", help="picture folder, where it is elsewhere")
    parser.add_argument("--link", action="store_true", help="hard links of pictures, not copies")
    parser.add_argument(
        "--shards",
        type=int,
        metavar="N",
        help="of tfrecord: files of each split (default: of about 128 MB each)",
    )
    parser.add_argument(
        "--predictions", metavar="FILE", help="COCO results that become the annotations"
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="SCORE",
        help=f"lowest score of --predictions that is written: {_THRESHOLD}",
    )
    parser.add_argument(
        "--order", choices=names.ORDERS, help="which pictures of --predictions come first: given"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Reads, writes, and tells what was lost."""
    if args.shards is not None and args.to != "tfrecord":
        raise ValueError(f"Expected --shards only with --to tfrecord. Received: --to {args.to}")
    data = _read_data(args) if args.predictions is None else _read_predictions(args)
    if args.to == "tfrecord":
        start_tensorflow()

    from keras_maskrcnn.data import save_dataset

    saved = save_dataset(
        data,
        args.output,
        args.to,
        link=args.link,
        is_numbered=args.to == "labelme" and args.order == "uncertainty",
        shards=args.shards,
        verbose=False,
    )
    say(saved.summary())
    return 0


def _read_data(args: argparse.Namespace) -> DetectionData | dict[str, DetectionData]:
    """The data set, or its splits by name, all with the same classes."""
    for option in ("threshold", "order"):
        if getattr(args, option) is not None:
            raise ValueError(f"Expected --{option} only with --predictions FILE")
    if args.data is None:
        raise ValueError("Expected --data FOLDER, or --predictions FILE")

    from keras_maskrcnn.data import dataset_splits

    if not is_there(args.data):
        raise ValueError(f"Expected a folder or an annotation file. Received: --data {args.data}")
    splits = [] if args.split else dataset_splits(args.data, args.format or "auto")
    if len(splits) < 2:
        return _load(args, args.split)
    data = {split: _load(args, split) for split in splits}
    # Formats that list no classes have those of the objects, which may differ from split to split.
    classes = list(dict.fromkeys(name for part in data.values() for name in part.class_names))
    return {
        split: part if part.class_names == classes else _load(args, split, class_names=classes)
        for split, part in data.items()
    }


def _read_predictions(args: argparse.Namespace) -> DetectionData:
    from keras_maskrcnn.preannotations import results_to_data

    data = None if args.data is None else _load(args, args.split)
    if data is None and args.images is None:
        raise ValueError("Expected --images FOLDER or --data FOLDER with --predictions FILE")
    read = partial(
        results_to_data,
        args.predictions,
        data=data,
        image_dir=args.images if data is None else None,
        threshold=_THRESHOLD if args.threshold is None else args.threshold,
        order=args.order or "given",
    )
    return telling(read, args.predictions)


def _load(args: argparse.Namespace, split: str | None, **options: Any) -> DetectionData:
    from keras_maskrcnn.data import load_dataset

    read = partial(
        load_dataset,
        args.data,
        args.format or "auto",
        split=split,
        image_dir=args.images,
        verbose=False,
        **reading_choice(args),
        **options,
    )
    return telling(read, args.data)
