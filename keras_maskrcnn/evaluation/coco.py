"""Average precision as COCO defines it (Lin et al. 2014).

Ground truth comes from the data set's own records at the pictures' full resolution: never from the
resized and sampled training targets. Results are held as run-length encodings, one picture's worth
of masks at a time, so memory does not grow with the size of the pictures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_maskrcnn.detections import Detections
from keras_maskrcnn.evaluation.classes import match_classes
from keras_maskrcnn.evaluation.scoring import RESULT_FIELDS, Scores, score

if TYPE_CHECKING:
    from keras_maskrcnn.data.records import DetectionData

PREFIXES = {"bbox": "box", "segm": "mask", "keypoints": "keypoint"}
_AREAS = {"aps": "small", "apm": "medium", "apl": "large"}


class CocoMetrics(dict[str, float]):
    """COCO's numbers by name, as `evaluate_coco` and `coco_metrics` return them.

    For each of `box`, `mask` and `keypoint` that was evaluated: `box_ap` (mean over IoU .5 to .95),
    `box_ap50`, `box_ap75`, `box_aps`, `box_apm`, `box_apl` (objects under 32^2, up to 96^2 and
    above, by the annotation's area; keypoints have no small ones) and `box_ar` (recall, mean over
    the same IoUs). A number is nan where the data holds no such object; COCO's own tool says -1.

    Attributes:
        per_class: for each class name the same numbers of that class alone.
    """

    def __init__(self, overall: dict[str, float], per_class: dict[str, dict[str, float]]) -> None:
        super().__init__(overall)
        self.per_class = per_class

    def table(self) -> str:
        """A plain-text table in percent: all classes first, then one row for each class."""
        columns = [name for name in self if not name.endswith("_ar")]
        side = max(len(name) for name in ("all classes", *self.per_class))
        lines = [f"{'':<{side}}  " + "  ".join(columns)]
        for label, row in [("all classes", self), *self.per_class.items()]:
            cells = (
                f"{'-' if math.isnan(row[c]) else format(100 * row[c], '.1f'):>{len(c)}}"
                for c in columns
            )
            lines.append(f"{label:<{side}}  " + "  ".join(cells))
        return "\n".join(lines)


def evaluate_coco(
    model: keras.Model,
    data: DetectionData,
    *,
    batch_size: int = 1,
    min_size: int | None = None,
    max_size: int | None = None,
    iou_types: Sequence[str] | None = None,
    max_detections: int = 100,
    progress: bool = True,
) -> CocoMetrics:
    """Run a model over a data set and score what it finds.

    Args:
        model: a `MaskRCNN`.
        data: the pictures and their ground truth; pictures without objects count too.
        batch_size: pictures per step.
        min_size, max_size: size to which pictures are resized; `None`: the model's own.
        iou_types: any of `"bbox"`, `"segm"`, `"keypoints"`; `None`: boxes, and what else both the
            model predicts and the data has.
        max_detections: best detections of a picture and class that are scored. COCO's number is
            100; data with more objects than that in one picture wants more.
        progress: whether to show a progress bar.

    Returns:
        `CocoMetrics`.

    Raises:
        ValueError: when the data has a class that the model does not know.
    """
    min_size = model.config.min_size if min_size is None else min_size
    max_size = model.config.max_size if max_size is None else max_size
    classes = match_classes(model, data)
    records = {record.image_id: record for record in data.records}
    bar = keras.utils.Progbar(math.ceil(len(records) / batch_size), verbose=int(progress))
    results: list[dict[str, Any]] = []
    fields: set[str] = set()
    batches = data.batches(
        batch_size,
        min_size=min_size,
        max_size=max_size,
        size_divisor=model.config.size_divisor,
    )
    for images, targets in batches:
        sizes = np.asarray(targets["image_sizes"])
        outputs = model.predict_on_batch({"images": images, "image_sizes": targets["image_sizes"]})
        fields.update(outputs)
        for row, image_id in enumerate(np.asarray(targets["image_ids"]).tolist()):
            record = records[image_id]
            found = Detections.from_padded(
                outputs,
                row,
                image_size=sizes[row],
                original_size=(record.height, record.width),
                keypoint_shift=model.config.keypoint_shift,
            )
            found = found.with_classes(classes, data.class_names)
            results.extend(found.to_coco(image_id, data.category_ids))
        bar.add(1)
    if iou_types is None:
        predicted = {"boxes": "bbox", "masks": "segm", "keypoints": "keypoints"}
        known = {predicted[field] for field in fields & set(predicted)}
        iou_types = [name for name in _annotated_types(data) if name in known]
    return coco_metrics(data, results, iou_types=iou_types, max_detections=max_detections)


def coco_metrics(
    data: DetectionData,
    results: Iterable[dict[str, Any]],
    *,
    iou_types: Sequence[str] | None = None,
    max_detections: int = 100,
) -> CocoMetrics:
    """Score results in COCO's format, for instance from a saved JSON file.

    Args:
        data: the pictures and their ground truth.
        results: dicts as `Detections.to_coco` gives them.
        iou_types: as in `evaluate_coco`; `None`: what both the data and all results have.
        max_detections: as in `evaluate_coco`.

    Returns:
        `CocoMetrics`.

    Raises:
        ValueError: when a result names an image or category that the data does not have, or lacks
            what an asked-for type needs, or has a mask of another size than its picture; when the
            data has no outlines or keypoints to compare to.
    """
    results = list(results)
    annotated = _annotated_types(data)
    if iou_types is None:
        iou_types = [n for n in annotated if all(RESULT_FIELDS[n] in r for r in results)]
    for name in iou_types:
        if name not in PREFIXES:
            raise ValueError(
                f"iou_types must be of {tuple(PREFIXES)}. Received: iou_types={tuple(iou_types)}"
            )
        if name not in annotated:
            raise ValueError(
                f"iou_types={name!r} needs that annotation in the data, which has {annotated}. "
                f"Received: iou_types={tuple(iou_types)}"
            )
    _check_results(data, results, iou_types)

    overall: dict[str, float] = {}
    per_class: dict[str, dict[str, float]] = {name: {} for name in data.class_names}
    for name in iou_types:
        scores = score(data, results, name, max_detections)
        overall.update(_numbers(scores, PREFIXES[name], slice(None)))
        for k, class_numbers in enumerate(per_class.values()):
            position = scores.category_ids.index(data.category_ids[k])
            class_numbers.update(_numbers(scores, PREFIXES[name], slice(position, position + 1)))
    return CocoMetrics(overall, per_class)


def _annotated_types(data: DetectionData) -> list[str]:
    """Which comparisons the ground truth allows."""
    instances = [i for record in data.records for i in record.instances if not i.is_crowd]
    types = ["bbox"]
    if all(i.segmentation for i in instances):
        types.append("segm")
    if any(i.keypoints is not None for i in instances):
        types.append("keypoints")
    return types


def _check_results(
    data: DetectionData, results: list[dict[str, Any]], iou_types: Sequence[str]
) -> None:
    images = {record.image_id: [record.height, record.width] for record in data.records}
    categories = set(data.category_ids)
    for i, result in enumerate(results):
        if result["image_id"] not in images or result["category_id"] not in categories:
            raise ValueError(
                "Results must be about images and categories of the data. Received: results"
                f"[{i}] with image_id={result['image_id']}, category_id={result['category_id']}"
            )
        for name in iou_types:
            if RESULT_FIELDS[name] not in result:
                raise ValueError(
                    f"iou_types={name!r} needs {RESULT_FIELDS[name]!r} in every result. "
                    f"Received: results[{i}] with {sorted(result)}"
                )
        if "segm" in iou_types:
            size, expected = result["segmentation"]["size"], images[result["image_id"]]
            if list(size) != expected:
                raise ValueError(
                    f"a mask must have its picture's size {expected}. Received: results[{i}] with "
                    f"image_id={result['image_id']} and a mask of size {list(size)}"
                )


def _numbers(scores: Scores, prefix: str, classes: slice) -> dict[str, float]:
    """Means over some of the categories."""
    precision, recall = scores.precision[:, :, classes], scores.recall[:, classes]
    everything = scores.areas.index("all")

    def mean(values: np.ndarray) -> float:
        valid = values[values > -1]
        return float(valid.mean()) if valid.size else math.nan

    numbers = {"ap": mean(precision[..., everything])}
    for name, threshold in (("ap50", 0.5), ("ap75", 0.75)):
        numbers[name] = mean(precision[np.isclose(scores.ious, threshold)][..., everything])
    for name, area in _AREAS.items():
        if area in scores.areas:
            numbers[name] = mean(precision[..., scores.areas.index(area)])
    numbers["ar"] = mean(recall[..., everything])
    return {f"{prefix}_{name}": value for name, value in numbers.items()}
