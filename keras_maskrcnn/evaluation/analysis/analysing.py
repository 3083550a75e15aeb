"""All that explains a score, of each comparison."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from keras_maskrcnn.evaluation.analysis.confusion import Confusion, confusion_matrix
from keras_maskrcnn.evaluation.analysis.curves import Curves, precision_recall
from keras_maskrcnn.evaluation.analysis.errors import ErrorTypes, error_types
from keras_maskrcnn.evaluation.analysis.groups import Group, crowding_groups, size_groups
from keras_maskrcnn.evaluation.analysis.keypoints import KeypointPrecision, keypoint_precision
from keras_maskrcnn.evaluation.analysis.matching import Matching, match_compared
from keras_maskrcnn.evaluation.analysis.numbers import as_json
from keras_maskrcnn.evaluation.analysis.pictures import PictureScores, picture_scores
from keras_maskrcnn.evaluation.analysis.thresholds import ScoreThresholds, score_thresholds
from keras_maskrcnn.evaluation.coco import compare_data
from keras_maskrcnn.evaluation.compared import Compared
from keras_maskrcnn.evaluation.files import compare_files
from keras_maskrcnn.evaluation.metrics import CocoMetrics

if TYPE_CHECKING:
    from keras_maskrcnn.data.detection_data import DetectionData

# Error types, crowding and confusion have no meaning for keypoints.
_EXPLAINED = ("bbox", "segm")


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """What explains the score of boxes, or of masks.

    Args:
        matching: which result found which object; all the rest follows from it.
        curves: precision by recall, of each class and IoU threshold.
        thresholds: precision, recall and F1 by score, and the best threshold of each class.
        confusion: which class was found as which, at the best thresholds (.5 for a class that has
            none).
        errors: kinds of errors, and what each costs.
        sizes: small, medium and large objects.
        crowding: objects that stand alone, touch others, and are crowded.
        pictures: what is right and wrong in each picture, at the same thresholds.
    """

    matching: Matching
    curves: Curves
    thresholds: ScoreThresholds
    confusion: Confusion
    errors: ErrorTypes
    sizes: tuple[Group, ...]
    crowding: tuple[Group, ...]
    pictures: PictureScores

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "objects": int(self.matching.objects.sum()),
            "results": len(self.matching.pred_scores),
            "curves": self.curves.to_json(),
            "thresholds": self.thresholds.to_json(),
            "confusion": self.confusion.to_json(),
            "errors": self.errors.to_json(),
            "sizes": [group.to_json() for group in self.sizes],
            "crowding": [group.to_json() for group in self.crowding],
            "pictures": self.pictures.to_json(),
        }


@dataclasses.dataclass(frozen=True, eq=False)
class Analysis:
    """What a score is made of, as `analyse` and `analyse_files` give it.

    Args:
        compared: ground truth and results.
        comparisons: by `"bbox"` and `"segm"`, of those that are compared.
        keypoints: how exact keypoints are; `None` where none are compared.
    """

    compared: Compared
    comparisons: dict[str, Comparison]
    keypoints: KeypointPrecision | None = None

    @cached_property
    def metrics(self) -> CocoMetrics:
        """COCO's numbers, of keypoints too."""
        return self.compared.metrics

    def to_json(self) -> dict[str, Any]:
        """All of it but ground truth and results, as JSON holds it: null is what is not known."""
        metrics = self.metrics
        return {
            "metrics": {name: as_json(value) for name, value in metrics.items()},
            "per_class": {
                name: {key: as_json(value) for key, value in row.items()}
                for name, row in metrics.per_class.items()
            },
            "comparisons": {name: c.to_json() for name, c in self.comparisons.items()},
            "keypoints": None if self.keypoints is None else self.keypoints.to_json(),
        }

    def save(self, folder: str | os.PathLike[str], *, model: str = "MODEL") -> None:
        """Writes `report.json`, and `report.html`, which needs no other file and no network.

        Args:
            folder: it is created; files of these names in it are replaced.
            model: what the page calls the model in commands to copy.

        Raises:
            OSError: if they cannot be written.
        """
        from keras_maskrcnn.evaluation.report import save_report

        save_report(self, folder, model=model)


def analyse(
    data: DetectionData,
    results: Iterable[dict[str, Any]],
    *,
    iou_types: Sequence[str] | None = None,
    max_detections: int = 100,
) -> Analysis:
    """Explain what results in COCO's format are worth, and why.

    Args:
        data: the pictures and their ground truth.
        results: what `coco_results` gives, or dicts as `Detections.to_coco` gives them.
        iou_types, max_detections: as in `coco_metrics`.

    Returns:
        `Analysis`.

    Raises:
        ValueError, ImportError: as `coco_metrics`.

    Example:

    >>> analysis = analyse(data, coco_results(model, data))
    >>> analysis.comparisons["segm"].errors.dap["duplicate"]
    >>> found = found.above(analysis.comparisons["segm"].thresholds.by_name())
    >>> analysis.save("report")
    """
    return analyse_compared(
        compare_data(data, results, iou_types=iou_types, max_detections=max_detections)
    )


def analyse_files(
    annotations: str | os.PathLike[str],
    results: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    images: str | os.PathLike[str] | None = None,
    iou_types: Sequence[str] | None = None,
    max_detections: int = 100,
) -> Analysis:
    """Explain what results files are worth, and why.

    Args:
        annotations, results, iou_types, max_detections: as in `evaluate_coco_files`.
        images: folder of the pictures, for the report to draw; `None`: it draws none.

    Returns:
        `Analysis`.

    Raises:
        ValueError, ImportError: as `evaluate_coco_files`.
    """
    compared = compare_files(
        annotations, results, iou_types=iou_types, max_detections=max_detections
    )
    if images is not None:
        from keras_maskrcnn.data import load_coco

        compared = compared.with_pictures(load_coco(annotations, images))
    return analyse_compared(compared)


def analyse_compared(compared: Compared) -> Analysis:
    """`analyse` of what is compared already."""
    compared.metrics  # noqa: B018 (first what tells that a package is missing)
    explained = [name for name in compared.truth if name in _EXPLAINED]
    return Analysis(
        compared,
        {name: _comparison(compared, name) for name in explained},
        keypoint_precision(compared) if "keypoints" in compared.truth else None,
    )


def _comparison(compared: Compared, iou_type: str) -> Comparison:
    matching = match_compared(compared, iou_type)
    thresholds = score_thresholds(matching)
    limits = thresholds.limits()
    return Comparison(
        matching=matching,
        curves=precision_recall(matching),
        thresholds=thresholds,
        confusion=confusion_matrix(matching, limits),
        errors=error_types(matching),
        sizes=size_groups(matching),
        crowding=crowding_groups(matching),
        pictures=picture_scores(matching, limits),
    )
