"""Average precision as COCO defines it (Lin et al. 2014), computed by pycocotools.

Ground truth comes from the data set's own records at the pictures' full resolution: never from the
resized and sampled training targets. Results are held as run-length encodings, one picture's worth
of masks at a time, so memory does not grow with the size of the pictures.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from keras_maskrcnn.detections import Detections
from keras_maskrcnn.evaluation.classes import match_classes

if TYPE_CHECKING:
    from keras_maskrcnn.data.records import DetectionData, ImageRecord, Instance

PREFIXES = {"bbox": "box", "segm": "mask", "keypoints": "keypoint"}
_RESULT_FIELDS = {"bbox": "bbox", "segm": "segmentation", "keypoints": "keypoints"}
_AREAS = {"aps": "small", "apm": "medium", "apl": "large"}
# OKS constant of a keypoint when the data set is not the 17 points of a COCO person, for which
# pycocotools holds measured ones (0.025 for eyes to 0.107 for hips).
_OTHER_SIGMA = 0.05


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
            what an asked-for type needs; when the data has no outlines or keypoints to compare to.
    """
    results = list(results)
    annotated = _annotated_types(data)
    if iou_types is None:
        iou_types = [n for n in annotated if all(_RESULT_FIELDS[n] in r for r in results)]
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
        scored = _run_cocoeval(data, results, name, max_detections)
        overall.update(_numbers(scored, PREFIXES[name], slice(None)))
        for k, class_numbers in enumerate(per_class.values()):
            # COCOeval sorts its categories by id.
            position = scored.params.catIds.index(data.category_ids[k])
            class_numbers.update(_numbers(scored, PREFIXES[name], slice(position, position + 1)))
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
    images = {record.image_id for record in data.records}
    categories = set(data.category_ids)
    for i, result in enumerate(results):
        if result["image_id"] not in images or result["category_id"] not in categories:
            raise ValueError(
                "Results must be about images and categories of the data. Received: results"
                f"[{i}] with image_id={result['image_id']}, category_id={result['category_id']}"
            )
        for name in iou_types:
            if _RESULT_FIELDS[name] not in result:
                raise ValueError(
                    f"iou_types={name!r} needs {_RESULT_FIELDS[name]!r} in every result. "
                    f"Received: results[{i}] with {sorted(result)}"
                )


def _run_cocoeval(
    data: DetectionData, results: list[dict[str, Any]], iou_type: str, max_detections: int
) -> COCOeval:
    images = [{"id": r.image_id, "height": r.height, "width": r.width} for r in data.records]
    categories = [{"id": i} for i in data.category_ids]
    # Fresh ids from 1: COCOeval takes a match with annotation 0 for no match.
    truth = [
        _annotation(number, record, instance, data)
        for number, (record, instance) in enumerate(
            ((record, instance) for record in data.records for instance in record.instances), 1
        )
    ]
    found = [_scored(number, result, iou_type) for number, result in enumerate(results, 1)]
    with contextlib.redirect_stdout(io.StringIO()):
        apis = []
        for annotations in (truth, found):
            api = COCO()
            api.dataset = {"images": images, "categories": categories, "annotations": annotations}
            api.createIndex()
            apis.append(api)
        evaluation = COCOeval(*apis, iouType=iou_type)
        if iou_type == "keypoints":
            joints = {len(t["keypoints"]) // 3 for t in truth if t["num_keypoints"]} or {17}
            if joints != {len(evaluation.params.kpt_oks_sigmas)}:
                evaluation.params.kpt_oks_sigmas = np.full(max(joints), _OTHER_SIGMA)
            # COCO's own number for people is 20.
            evaluation.params.maxDets = [min(20, max_detections)]
        else:
            evaluation.params.maxDets = [max_detections]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _annotation(
    number: int, record: ImageRecord, instance: Instance, data: DetectionData
) -> dict[str, Any]:
    x1, y1, x2, y2 = (float(v) for v in instance.box)
    points = instance.keypoints
    if points is not None:
        points = np.asarray(points, float) - (0.5, 0.5, 0.0)  # As `Detections.to_coco`.
    return {
        "id": number,
        "image_id": record.image_id,
        "category_id": data.category_ids[instance.category],
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": float(instance.area),
        "iscrowd": int(instance.is_crowd),
        "segmentation": instance.segmentation,
        "keypoints": [] if points is None else points.ravel().tolist(),
        "num_keypoints": 0 if points is None else int((points[:, 2] > 0).sum()),
    }


def _scored(number: int, result: dict[str, Any], iou_type: str) -> dict[str, Any]:
    """A result as COCOeval wants it: with an id, and the area of what is being compared.

    The area decides whether an unmatched detection counts as small, medium or large, so for masks
    it must be the mask's area rather than the box's.
    """
    field = _RESULT_FIELDS[iou_type]
    value = result[field]
    scored = {"id": number, "iscrowd": 0, field: value}
    scored.update({key: result[key] for key in ("image_id", "category_id", "score")})
    if iou_type == "bbox":
        scored["area"] = value[2] * value[3]
    elif iou_type == "segm":
        scored["area"] = float(coco_mask.area(value))
    else:
        x, y = np.asarray(value[0::3]), np.asarray(value[1::3])
        width, height = float(np.ptp(x)), float(np.ptp(y))
        scored["area"] = width * height
        scored["bbox"] = [float(x.min()), float(y.min()), width, height]
    return scored


def _numbers(evaluation: COCOeval, prefix: str, classes: slice) -> dict[str, float]:
    """Means over COCOeval's `precision [T, R, K, A, 1]` and `recall [T, K, A, 1]`."""
    precision = evaluation.eval["precision"][:, :, classes, :, 0]
    recall = evaluation.eval["recall"][:, classes, :, 0]
    thresholds = np.asarray(evaluation.params.iouThrs)
    areas = evaluation.params.areaRngLbl
    everything = areas.index("all")

    def mean(values: np.ndarray) -> float:
        valid = values[values > -1]
        return float(valid.mean()) if valid.size else math.nan

    numbers = {"ap": mean(precision[..., everything])}
    for name, threshold in (("ap50", 0.5), ("ap75", 0.75)):
        numbers[name] = mean(precision[np.isclose(thresholds, threshold)][..., everything])
    for name, area in _AREAS.items():
        if area in areas:
            numbers[name] = mean(precision[..., areas.index(area)])
    numbers["ar"] = mean(recall[..., everything])
    return {f"{prefix}_{name}": value for name, value in numbers.items()}
