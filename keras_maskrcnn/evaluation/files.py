"""Scores results files against an annotation file: no model, no pictures."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_maskrcnn.checks import at_least
from keras_maskrcnn.evaluation.archive import Archive
from keras_maskrcnn.evaluation.compared import Compared
from keras_maskrcnn.evaluation.metrics import CocoMetrics, check_options
from keras_maskrcnn.evaluation.result_source import ResultSource, held_types, source_of
from keras_maskrcnn.evaluation.results import RESULT_FIELDS
from keras_maskrcnn.evaluation.results_file import ResultsFile
from keras_maskrcnn.evaluation.truth_file import AnnotationFile


def evaluate_coco_files(
    annotations: str | os.PathLike[str],
    results: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    iou_types: Sequence[str] | None = None,
    max_detections: int = 100,
    jobs: int = 1,
) -> CocoMetrics:
    """Score results in COCO's format against an annotation file, as pycocotools does.

    Of files of any length, a few hundred pictures are in memory at a time.

    The numbers are those of `COCO(annotations).loadRes(results)` and `COCOeval` in pycocotools:
    every picture and annotation of the file counts, whether or not the picture is on disk, as it
    stands there. Two things are read as `loadRes` reads them: results with masks and without boxes
    get the boxes of their masks; and where results hold several fields, the first of box, mask and
    keypoints gives the area that makes an unmatched result small, medium or large. COCO's own
    results files hold one field each, as `evaluate_coco` saves them. One thing is not: an
    annotation whose id is 0 can be found (pycocotools takes a match with it for none).

    OKS takes COCO's constants of a person for objects with 17 keypoints, and .05 for each keypoint
    of any other number.

    Args:
        annotations: COCO's annotation JSON.
        results: one JSON list of results or several, such as one with boxes and one with masks:
            dicts with `image_id`, `category_id`, `score`, and `bbox`, `segmentation` (RLE or
            polygons) or `keypoints`, all alike within a file. Or a folder that `predict_many` or
            `maskrcnn predict --input` has written: its pictures are those whose paths end as the
            annotations' file names, its classes those of the same names; and an unmatched result
            has the area of what is compared.
        iou_types: any of `"bbox"`, `"segm"`, `"keypoints"`; `None`: what the results hold, and
            boxes where they hold masks; of results that are all empty, what is annotated.
        max_detections: best results of a picture and class that count; COCO's number is 100. Of
            keypoints at most 20 count.
        jobs: processes. With more than 1, a script needs `if __name__ == "__main__":` around what
            it does, as for all processes that Python starts.

    Returns:
        `CocoMetrics`.

    Raises:
        ValueError: when a file is missing or not valid JSON, an annotation is malformed or lacks
            what a comparison needs, a result is malformed, has no finite score or names an unknown
            image or category, two files have results for one comparison, or a folder lacks pictures
            or classes of the annotations. The message names the file, and the annotation by its id
            or the result by its number, counted from 0.
        ImportError: for a folder of Parquet, without `pyarrow`.
    """
    # Imports the matching, which the analysis has in common, and that imports from here.
    from keras_maskrcnn.evaluation.in_groups import Job, score_in_groups

    at_least(1, jobs=jobs)
    truth, sources = open_files(annotations, results)
    chosen = types_to_compare(iou_types, truth, sources, max_detections)
    return score_in_groups(Job(truth, sources, chosen, max_detections), jobs)


def compare_files(
    annotations: str | os.PathLike[str],
    results: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    iou_types: Sequence[str] | None = None,
    max_detections: int = 100,
) -> Compared:
    """Results files beside their annotation file. Args, raises: as `evaluate_coco_files`."""
    truth, sources = open_files(annotations, results)
    iou_types = types_to_compare(iou_types, truth, sources, max_detections)
    return Compared(
        class_names=truth.class_names,
        category_ids=truth.category_ids,
        sizes=truth.sizes,
        truth={name: truth.annotations(name) for name in iou_types},
        found={name: source_of(sources, name).prepare(name, truth) for name in iou_types},
        max_detections=max_detections,
    )


def open_files(
    annotations: str | os.PathLike[str],
    results: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
) -> tuple[AnnotationFile, list[ResultSource]]:
    """Both sides, checked as far as one look at each tells. Raises: as `evaluate_coco_files`."""
    if isinstance(results, str | os.PathLike):
        results = [results]
    if not results:
        raise ValueError("Expected at least one results file. Received: none")
    truth = AnnotationFile(Path(annotations))
    return truth, [
        Archive(path, truth) if path.is_dir() else ResultsFile(path, truth)
        for path in map(Path, results)
    ]


def types_to_compare(
    iou_types: Sequence[str] | None,
    truth: AnnotationFile,
    sources: Sequence[ResultSource],
    max_detections: int,
) -> list[str]:
    """Those that were asked for, or all that both sides allow.

    Raises:
        ValueError: when options are none, or a comparison has no results of its own.
    """
    if iou_types is None:
        iou_types = held_types(sources) or truth.annotated_types()
    chosen = list(iou_types)
    check_options(chosen, max_detections)
    for name in chosen:
        source_of(sources, name)
    return chosen


def save_results(
    folder: Path, results: Sequence[dict[str, Any]], iou_types: Sequence[str]
) -> list[Path]:
    """Writes results as COCO has them: a file for each comparison, with its own field alone.

    Args:
        folder: receives `bbox.json`, `segm.json` and `keypoints.json`; made where it is not.
        results: as `Detections.to_coco` gives them.
        iou_types: which of the files to write.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name in iou_types:
        keys = ("image_id", "category_id", RESULT_FIELDS[name], "score")
        files.append(folder / f"{name}.json")
        content = [{key: result[key] for key in keys} for result in results]
        files[-1].write_text(json.dumps(content) + "\n", encoding="utf-8")
    return files
