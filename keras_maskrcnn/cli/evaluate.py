"""`maskrcnn evaluate`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_maskrcnn.cli.data import DATA_HELP, data_arguments, read_coco, read_split
from keras_maskrcnn.cli.options import (
    check_tiling,
    load_model,
    model_arguments,
    say,
    size_arguments,
    tile_arguments,
    tta_argument,
)
from keras_maskrcnn.cli.quiet import start_tensorflow
from keras_maskrcnn.cli.run_data import READING, as_in_its_run, read_data_of_run
from keras_maskrcnn.cli.run_tiles import with_tiles_of_run
from keras_maskrcnn.names import COMPARISONS

if TYPE_CHECKING:
    from keras_maskrcnn.evaluation.compared import Compared
    from keras_maskrcnn.evaluation.metrics import CocoMetrics
    from keras_maskrcnn.images.pixels import PixelFormat

_DESCRIPTION = f"""\
Score a model, or results that are already there, by COCO's numbers: average precision (AP) and
recall (AR) of boxes, masks and keypoints, over all classes, and AP for each.

{DATA_HELP}
The folder of a run needs no data: it is scored on the pictures that it was validated on, and in
tiles where it was trained with --tile.
With --results FILE, JSON lists in COCO's results format are scored against --annotations, without
a model and without pictures: every picture of the annotations counts, as in pycocotools. Boxes and
masks may be in one file or in two; results without boxes get those of their masks.
With --results FOLDER, that is an archive of `maskrcnn predict --input`: pictures are those whose
paths end as the file names of the annotations, classes those of the same names. Files and archives
of any length are scored in little memory, with --jobs in several processes.

With --report FOLDER it receives report.html, one page that tells what the numbers are made of, and
report.json: curves, the best score threshold of each class, which classes are confused, what kinds
of errors cost most, small and crowded objects, and the worst and the best pictures, drawn.
"""

# Those that the model says.
_OF_PIXELS = ("channels", "value_range", "display")

_EPILOG = """\
examples:
  maskrcnn evaluate runs/photos
  maskrcnn evaluate runs/photos --data photos --report report
  maskrcnn evaluate runs/photos --data photos --report photos_report
  maskrcnn evaluate runs/photos --data photos --tta
  maskrcnn evaluate best.keras --annotations cells/val.json --images cells/images \\
      --output metrics.json --save-results found
  maskrcnn evaluate --results found/bbox.json found/segm.json --annotations cells/val.json
  maskrcnn evaluate --results archive_found --annotations instances.json --jobs 8
"""


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "evaluate",
        help="score a model, or a results file, by COCO's AP and AR",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    model_arguments(parser, nargs="?")
    parser.add_argument(
        "--results",
        nargs="+",
        metavar="FILE",
        help="COCO results, or the output folder of `maskrcnn predict --input`, instead of a model",
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="processes that score --results (default: 1)"
    )
    data_arguments(parser)
    parser.add_argument(
        "--split",
        default="val",
        help="split of the data: %(default)s; where pictures were set aside, these are those of "
        "the run, if MODEL is its folder, or follow from --val-fraction and --seed",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="see --split (default: 0)")
    parser.add_argument("--annotations", metavar="FILE", help="COCO JSON file, instead of --data")
    parser.add_argument("--images", metavar="FOLDER", help="picture folder of --annotations")
    parser.add_argument("--batch-size", type=int, default=1, help="%(default)s")
    parser.add_argument(
        "--types",
        nargs="+",
        choices=COMPARISONS,
        help="what is compared (default: all that both sides have)",
    )
    parser.add_argument(
        "--max-detections",
        type=int,
        default=100,
        help="detections of a picture and class that are scored: %(default)s",
    )
    parser.add_argument("--output", metavar="FILE", help="write the numbers as JSON, too")
    parser.add_argument(
        "--save-results",
        metavar="FOLDER",
        help="write what the model found, too: bbox.json, segm.json, keypoints.json",
    )
    parser.add_argument(
        "--report",
        metavar="FOLDER",
        help="write a page that explains the numbers, too: report.html, report.json; with "
        "--results, pictures are drawn where --images is given",
    )
    size_arguments(parser)
    tta_argument(parser)
    tile_arguments(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Evaluates a model or results, and prints tables."""
    if (args.model is None) == (args.results is None):
        raise ValueError("Expected a MODEL, or --results FILE with --annotations FILE")
    if args.report is not None:  # What cannot be written is said before the model runs.
        Path(args.report).mkdir(parents=True, exist_ok=True)
    compared: Compared | None = None
    if args.results is None:
        source, compared = _evaluate_model(args)
        metrics = compared.metrics
    else:
        _check_results_options(args)
        source = {"results": args.results, "annotations": args.annotations}
        if args.report is None:
            metrics = _score_results(args)
        else:
            compared = _compare_results(args)
            metrics = compared.metrics
    say(f"{metrics.summary()}\n\n{metrics.table()}")
    if args.output is not None:
        content = {
            **source,
            "metrics": _json_numbers(metrics),
            "per_class": {name: _json_numbers(row) for name, row in metrics.per_class.items()},
        }
        Path(args.output).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    if compared is not None and args.report is not None:
        from keras_maskrcnn.evaluation.analysis import analyse_compared

        analyse_compared(compared).save(args.report, model=args.model or "MODEL")
        say(f"{Path(args.report) / 'report.html'}")
    return 0


def _evaluate_model(args: argparse.Namespace) -> tuple[dict[str, Any], Compared]:
    args = with_tiles_of_run(args)
    check_tiling(args)
    if args.jobs is not None:
        raise ValueError(f"Expected --jobs only with --results. Received: --jobs {args.jobs}")
    for option in ("min_size", "max_size") if args.tile is not None else ():
        if getattr(args, option) is not None:
            name = "--" + option.replace("_", "-")
            raise ValueError(f"Expected --tile without {name}: tiles are of the picture's own size")
    if args.tta and args.batch_size != 1:
        raise ValueError(
            "Expected --batch-size only without --tta, which looks at one picture at a time. "
            f"Received: --batch-size {args.batch_size} with --tta"
        )
    # Annotations are read without a look at pixels, of which the model says what they mean.
    unseen = argparse.Namespace(**{**vars(args), **dict.fromkeys(_OF_PIXELS)})
    if args.annotations is not None and args.images is not None:
        data, place = read_coco(args.annotations, args.images, unseen), args.annotations
    elif args.data is not None:
        data, place = read_split(as_in_its_run(unseen)), args.data
    else:
        data, place = read_data_of_run(unseen)
    model = load_model(args.model, args.weights_file)
    data.pixels = _pixels(args, model.pixels)

    from keras_maskrcnn.evaluation.coco import compare_model

    compared = compare_model(
        model,
        data,
        batch_size=args.batch_size,
        min_size=args.min_size,
        max_size=args.max_size,
        iou_types=args.types,
        max_detections=args.max_detections,
        save_results_to=args.save_results,
        augment=args.tta,
        tile=args.tile,
        overlap=args.overlap,
    )
    return {"model": args.model, "annotations": str(place)}, compared


def _pixels(args: argparse.Namespace, own: PixelFormat) -> PixelFormat:
    """The model's, but for what the options say, which must then be the same."""
    changes = {name: getattr(args, name) for name in _OF_PIXELS}
    return dataclasses.replace(own, **{k: v for k, v in changes.items() if v is not None})


def _check_results_options(args: argparse.Namespace) -> None:
    for option in (
        "data",
        *READING,
        *_OF_PIXELS,
        "weights_file",
        "min_size",
        "max_size",
        "save_results",
        "tta",
        "tile",
        "overlap",
    ):
        # Those that are given: of `--tta`, True.
        if getattr(args, option) is not None and getattr(args, option) is not False:
            name = "--" + option.replace("_", "-")
            raise ValueError(f"Expected {name} only with a MODEL. Received: {name} with --results")
    if args.images is not None and args.report is None:
        raise ValueError("Expected --images only with a MODEL or --report, which draws pictures")
    if args.annotations is None:
        raise ValueError("Expected --annotations FILE with --results FILE")

    if args.jobs is not None and args.report is not None:
        raise ValueError("Expected --jobs without --report, which looks at all results at once")


def _score_results(args: argparse.Namespace) -> CocoMetrics:
    from keras_maskrcnn.evaluation.files import evaluate_coco_files

    return evaluate_coco_files(
        args.annotations,
        args.results,
        iou_types=args.types,
        max_detections=args.max_detections,
        jobs=1 if args.jobs is None else args.jobs,
    )


def _compare_results(args: argparse.Namespace) -> Compared:
    start_tensorflow()

    import keras_maskrcnn.evaluation.scoring  # noqa: F401 (says first what is not installed)
    from keras_maskrcnn.evaluation.files import compare_files

    compared = compare_files(
        args.annotations,
        args.results,
        iou_types=args.types,
        max_detections=args.max_detections,
    )
    if args.images is not None:
        compared = compared.with_pictures(read_coco(args.annotations, args.images, args))
    return compared


def _json_numbers(metrics: dict[str, float]) -> dict[str, float | None]:
    """JSON has no nan: what cannot be measured is null."""
    return {name: None if math.isnan(value) else value for name, value in metrics.items()}
