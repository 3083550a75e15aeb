"""Scores results files against an annotation file: no model, no pictures."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_maskrcnn.data.formats.json_file import read_json
from keras_maskrcnn.evaluation.checks import shown
from keras_maskrcnn.evaluation.compared import Compared
from keras_maskrcnn.evaluation.metrics import PREFIXES, CocoMetrics, check_options
from keras_maskrcnn.evaluation.results import (
    RESULT_FIELDS,
    check_results,
    is_held,
    prepare_results,
)
from keras_maskrcnn.evaluation.truth_file import AnnotationFile

logger = logging.getLogger("keras_maskrcnn")


def evaluate_coco_files(
    annotations: str | os.PathLike[str],
    results: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    iou_types: Sequence[str] | None = None,
    max_detections: int = 100,
) -> CocoMetrics:
    """Score results in COCO's format against an annotation file, as pycocotools does.

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
            polygons) or `keypoints`, all alike within a file.
        iou_types: any of `"bbox"`, `"segm"`, `"keypoints"`; `None`: what the results hold, and
            boxes where they hold masks; of results that are all empty, what is annotated.
        max_detections: best results of a picture and class that count; COCO's number is 100. Of
            keypoints at most 20 count.

    Returns:
        `CocoMetrics`.

    Raises:
        ValueError: when a file is missing or not valid JSON, an annotation is malformed or lacks
            what a comparison needs, a result is malformed, has no finite score or names an unknown
            image or category, or two files have results for one comparison. The message names the
            file, and the annotation by its id or the result by its number, counted from 0.
    """
    # Before the files are read, not after.
    import keras_maskrcnn.evaluation.scoring  # noqa: F401

    return compare_files(
        annotations, results, iou_types=iou_types, max_detections=max_detections
    ).metrics


def compare_files(
    annotations: str | os.PathLike[str],
    results: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    iou_types: Sequence[str] | None = None,
    max_detections: int = 100,
) -> Compared:
    """Results files beside their annotation file. Args, raises: as `evaluate_coco_files`."""
    if isinstance(results, str | os.PathLike):
        results = [results]
    if not results:
        raise ValueError("Expected at least one results file. Received: none")
    truth = AnnotationFile(Path(annotations))
    files = [_ResultsFile(Path(file), truth) for file in results]
    if iou_types is None:
        iou_types = _held_types(files) or truth.annotated_types()
    check_options(iou_types, max_detections)
    annotated, found = {}, {}
    for name in iou_types:
        annotated[name] = truth.annotations(name)
        points = (a["keypoints"] for a in annotated[name] if a.get("keypoints"))
        joints = next((len(p) // 3 for p in points), None)
        found[name] = _source(files, name).prepare(name, truth, joints)
    return Compared(
        class_names=truth.class_names,
        category_ids=truth.category_ids,
        sizes=truth.sizes,
        truth=annotated,
        found=found,
        max_detections=max_detections,
    )


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


class _ResultsFile:
    """The results of one file, which all hold the same fields."""

    def __init__(self, file: Path, truth: AnnotationFile) -> None:
        self.file = file
        self.results = read_json(file)
        if not isinstance(self.results, list):
            raise ValueError(
                f"{file}: expected a JSON list of results. Received: {shown(self.results)}"
            )
        if not self.results:
            logger.warning("%s holds no results", file)
        check_results(self.results, truth.sizes, set(truth.category_ids), self._place)
        fields = [[f for f in RESULT_FIELDS.values() if is_held(r, f)] for r in self.results]
        self.fields = fields[0] if fields else []
        if fields and not self.fields:
            raise ValueError(
                f"{self._place(0)}: expected one of {list(RESULT_FIELDS.values())}. "
                f"Received: {shown(self.results[0])}"
            )
        for number, others in enumerate(fields):
            if others != self.fields:
                raise ValueError(
                    f"{self._place(number)}: expected {self.fields}, as the first result of the "
                    f"file has. Received: {others}"
                )

    def prepare(
        self, iou_type: str, truth: AnnotationFile, joints: int | None
    ) -> list[dict[str, Any]]:
        """Results as they are scored; see `prepare_results`."""
        if not self.results:
            return []
        return prepare_results(
            self.results,
            iou_type,
            area_of=self.fields[0],
            sizes=truth.sizes,
            place=self._place,
            joints=joints,
        )

    def _place(self, number: int) -> str:
        return f"{self.file}, result {number}"


def _held_types(files: Sequence[_ResultsFile]) -> list[str]:
    held = {name for file in files for name in file.fields}
    if "segmentation" in held:
        held.add("bbox")
    return [name for name in PREFIXES if RESULT_FIELDS[name] in held]


def _source(files: Sequence[_ResultsFile], iou_type: str) -> _ResultsFile:
    """The one file with results for a comparison; for boxes, else that with masks or keypoints."""
    if not any(file.results for file in files):
        return files[0]
    wanted = RESULT_FIELDS.values() if iou_type == "bbox" else [RESULT_FIELDS[iou_type]]
    for field in wanted:
        holding = [file for file in files if field in file.fields]
        if len(holding) > 1:
            raise ValueError(
                f"Expected one file with {field!r}. "
                f"Received: {', '.join(str(file.file) for file in holding)}"
            )
        if holding:
            return holding[0]
    raise ValueError(
        f"Scoring {iou_type!r} needs results with {RESULT_FIELDS[iou_type]!r}. "
        f"Received: {', '.join(f'{file.file} with {file.fields}' for file in files)}"
    )
