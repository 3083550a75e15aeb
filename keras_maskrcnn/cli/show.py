"""`maskrcnn show`."""

from __future__ import annotations

import argparse
from typing import Any

from keras_maskrcnn.cli.data import DATA_HELP, augment_argument, data_arguments, read_split
from keras_maskrcnn.cli.options import augment_choice, say, tile_arguments
from keras_maskrcnn.cli.quiet import start_tensorflow

_DESCRIPTION = f"""\
Draw what training will see: pictures as they are, and beside each what some passes of the
augmentation make of it, with boxes, masks and keypoints.

{DATA_HELP}
"""

_EPILOG = """\
examples:
  maskrcnn show --data photos --augment lsj
  maskrcnn show --data photos --augment standard copy_paste --pictures 10 --output page.png
  maskrcnn show --data surveys --tile 1024 --overlap 128
  maskrcnn show --data cells --augment '{"name": "rotate", "degrees": [-180, 180]}'
"""


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "show",
        help="draw what training will see, after augmentation",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    data_arguments(parser)
    parser.add_argument("--split", default="train", help="split of the data: %(default)s")
    augment_argument(parser)
    parser.add_argument(
        "--pictures", type=int, metavar="N", default=6, help="pictures: %(default)s"
    )
    parser.add_argument(
        "--draws", type=int, metavar="N", default=4, help="passes shown of each: %(default)s"
    )
    parser.add_argument("--min-size", type=int, metavar="PIXELS", help="as in train (default: 800)")
    parser.add_argument(
        "--max-size", type=int, metavar="PIXELS", help="as in train (default: 1333)"
    )
    tile_arguments(parser, "show crops of this side, as train --tile makes them")
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        default=0,
        help="a run with this seed begins with these passes: %(default)s",
    )
    parser.add_argument(
        "--output", default="augmented.png", metavar="FILE", help="PNG to write: %(default)s"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Writes the page."""
    if args.data is None:
        raise ValueError("Expected --data FOLDER")
    augment = augment_choice(args.augment)
    sizes = {"min_size": args.min_size, "max_size": args.max_size}
    given = {name: size for name, size in sizes.items() if size is not None}
    if args.tile is not None and given:
        raise ValueError(
            "Expected --min-size and --max-size only without --tile, which shows pictures in their "
            f"own size. Received: --tile {args.tile} with {given}"
        )
    data = read_split(args)
    start_tensorflow()

    from keras_maskrcnn.augmentation_page import augmentation_page
    from keras_maskrcnn.images.tiling import as_tiling

    augmentation_page(
        data,
        augment,
        args.output,
        pictures=args.pictures,
        draws=args.draws,
        **given,
        seed=args.seed,
        tiling=as_tiling(args.tile, args.overlap),
    )
    say(args.output)
    return 0
