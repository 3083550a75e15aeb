"""`maskrcnn evaluate`."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from keras_maskrcnn.cli.options import (
    DATA_HELP,
    find_split,
    load_model,
    read_data,
    say,
    size_arguments,
)

_DESCRIPTION = f"""\
Score a model by COCO's box and mask AP, over all classes and for each.

{DATA_HELP}"""

_EPILOG = """\
examples:
  maskrcnn evaluate runs/photos --data photos
  maskrcnn evaluate best.keras --annotations cells/val.json --images cells/images \\
      --output metrics.json
"""


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "evaluate",
        help="score a model by COCO's AP",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help="model file (.keras), or a run folder for its best model")
    parser.add_argument("--data", metavar="FOLDER", help="data folder")
    parser.add_argument("--split", default="val", help="split of the data folder: %(default)s")
    parser.add_argument("--annotations", metavar="FILE", help="COCO JSON file, instead of --data")
    parser.add_argument("--images", metavar="FOLDER", help="picture folder of --annotations")
    parser.add_argument("--batch-size", type=int, default=1, help="%(default)s")
    parser.add_argument(
        "--max-detections",
        type=int,
        default=100,
        help="detections of a picture and class that are scored: %(default)s",
    )
    parser.add_argument("--output", metavar="FILE", help="write the numbers as JSON, too")
    size_arguments(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Evaluates a model and prints a table."""
    if args.annotations is not None and args.images is not None:
        annotations, images = Path(args.annotations), Path(args.images)
    elif args.data is not None:
        annotations, images = find_split(args.data, args.split)
    else:
        raise ValueError("Expected --data FOLDER, or --annotations FILE with --images FOLDER")
    data = read_data(annotations, images)
    model = load_model(args.model)

    from keras_maskrcnn.evaluation import evaluate_coco

    metrics = evaluate_coco(
        model,
        data,
        batch_size=args.batch_size,
        min_size=args.min_size,
        max_size=args.max_size,
        max_detections=args.max_detections,
    )
    say(metrics.table())
    if args.output is not None:
        content = {
            "model": args.model,
            "annotations": str(annotations),
            "metrics": _json_numbers(metrics),
            "per_class": {name: _json_numbers(row) for name, row in metrics.per_class.items()},
        }
        Path(args.output).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0


def _json_numbers(metrics: dict[str, float]) -> dict[str, float | None]:
    """JSON has no nan: what cannot be measured is null."""
    return {name: None if math.isnan(value) else value for name, value in metrics.items()}
