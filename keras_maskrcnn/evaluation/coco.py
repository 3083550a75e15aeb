"""Average precision as COCO defines it (Lin et al. 2014).

Ground truth comes from the data set's own records at the pictures' full resolution: never from the
resized and sampled training targets.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_maskrcnn.evaluation.compared import Compared
from keras_maskrcnn.evaluation.files import save_results
from keras_maskrcnn.evaluation.found import CocoResults, coco_results
from keras_maskrcnn.evaluation.metrics import CocoMetrics, check_options
from keras_maskrcnn.evaluation.results import RESULT_FIELDS, check_results, prepare_results
from keras_maskrcnn.evaluation.truth import truth_of_data

if TYPE_CHECKING:
    import keras

    from keras_maskrcnn.data.detection_data import DetectionData
    from keras_maskrcnn.inference.tiling import Tiling


def evaluate_coco(
    model: keras.Model,
    data: DetectionData,
    *,
    batch_size: int = 1,
    min_size: int | None = None,
    max_size: int | None = None,
    iou_types: Sequence[str] | None = None,
    max_detections: int = 100,
    save_results_to: str | os.PathLike[str] | None = None,
    progress: bool = True,
    augment: Any = False,
    tile: int | Tiling | None = None,
    overlap: int | None = None,
) -> CocoMetrics:
    """Run a model over a data set and score what it finds.

    Args:
        model: a `MaskRCNN`.
        data: the pictures and their ground truth; pictures without objects count too.
        batch_size: pictures per step.
        min_size, max_size: size to which pictures are resized; `None`: the model's own.
        iou_types: any of `"bbox"`, `"segm"`, `"keypoints"`; `None`: boxes, and what else both the
            model predicts and the data has. Masks are compared where every object has an outline;
            a model's masks that are not are told in a warning.
        max_detections: best detections of a picture and class that are scored. COCO's number is
            100; data with more objects than that in one picture wants more.
        save_results_to: folder that receives what was found, in COCO's results format: one of
            `bbox.json`, `segm.json`, `keypoints.json` for each comparison. `evaluate_coco_files`
            gives the same numbers for them, where the reader of `data` left nothing out and clipped
            no box.
        progress: whether to show a progress bar.
        augment: test-time augmentation, as `MaskRCNN.predict` takes it. It has sizes of its own,
            and looks at one picture at a time.
        tile, overlap: look at pictures tile by tile, as `MaskRCNN.predict` does; `batch_size` then
            counts tiles.

    Returns:
        `CocoMetrics`.

    Raises:
        ValueError: when the data has a class that the model does not know, its pictures are of
            other channels or another range than the model's, or a picture cannot be read; for
            `augment` with `min_size`, `max_size` or another `batch_size` than 1; for `tile` with
            `augment`, `min_size` or `max_size`.
        ImportError: without faster-coco-eval.
    """
    return compare_model(
        model,
        data,
        batch_size=batch_size,
        min_size=min_size,
        max_size=max_size,
        iou_types=iou_types,
        max_detections=max_detections,
        save_results_to=save_results_to,
        progress=progress,
        augment=augment,
        tile=tile,
        overlap=overlap,
    ).metrics


def compare_model(
    model: keras.Model,
    data: DetectionData,
    *,
    batch_size: int = 1,
    min_size: int | None = None,
    max_size: int | None = None,
    iou_types: Sequence[str] | None = None,
    max_detections: int = 100,
    save_results_to: str | os.PathLike[str] | None = None,
    progress: bool = True,
    augment: Any = False,
    tile: int | Tiling | None = None,
    overlap: int | None = None,
) -> Compared:
    """What a model finds beside ground truth. Args, raises: as `evaluate_coco`."""
    # Before the model runs, not after.
    import keras_maskrcnn.evaluation.scoring  # noqa: F401

    results = coco_results(
        model,
        data,
        batch_size=batch_size,
        min_size=min_size,
        max_size=max_size,
        progress=progress,
        augment=augment,
        tile=tile,
        overlap=overlap,
    )
    compared = compare_data(data, results, iou_types=iou_types, max_detections=max_detections)
    if save_results_to is not None:
        save_results(Path(save_results_to), results, list(compared.truth))
    return compared


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
        results: dicts as `Detections.to_coco` gives them, or what `coco_results` gives.
        iou_types: as in `evaluate_coco`; `None`: what both the data and all results have.
        max_detections: as in `evaluate_coco`.

    Returns:
        `CocoMetrics`.

    Raises:
        ValueError: when a result names an image or category that the data does not have, or lacks
            what an asked-for type needs, or has a mask of another size than its picture; when the
            data has no outlines or keypoints to compare to.
    """
    return compare_data(data, results, iou_types=iou_types, max_detections=max_detections).metrics


def compare_data(
    data: DetectionData,
    results: Iterable[dict[str, Any]],
    *,
    iou_types: Sequence[str] | None = None,
    max_detections: int = 100,
) -> Compared:
    """Results in COCO's format beside their ground truth.

    Args, raises: as `coco_metrics`; a model's masks that cannot be compared are told in a warning.
    """
    annotated = _annotated_types(data)
    if not isinstance(results, CocoResults):
        results = list(results)
    if iou_types is None:
        iou_types = _common_types(data, results, annotated)
    check_options(iou_types, max_detections)
    for name in iou_types:
        if name not in annotated:
            missing = f": {data.missing_outlines}" if name == "segm" else ""
            raise ValueError(
                f"iou_types={name!r} needs that annotation in the data, which has {annotated}"
                f"{missing}. Received: iou_types={tuple(iou_types)}"
            )
    return put_beside(data, results, iou_types, max_detections)


def put_beside(
    data: DetectionData,
    results: Sequence[dict[str, Any]],
    iou_types: Sequence[str],
    max_detections: int,
) -> Compared:
    """Both sides of comparisons that the data allow.

    The area of an unmatched result, which makes it small, medium or large, is that of what is
    compared: of the mask, where masks are. pycocotools takes the box's where a result has both, so
    its users leave the boxes out for masks, as COCO's own results files do.

    Args, raises: as `coco_metrics`.
    """
    sizes = {record.image_id: (record.height, record.width) for record in data.records}
    check_results(results, sizes, set(data.category_ids), _place)
    return Compared(
        class_names=data.class_names,
        category_ids=data.category_ids,
        sizes=sizes,
        truth={name: truth_of_data(data, name) for name in iou_types},
        found={
            name: prepare_results(
                results, name, area_of=RESULT_FIELDS[name], sizes=sizes, place=_place
            )
            for name in iou_types
        },
        max_detections=max_detections,
    ).with_pictures(data)


def _common_types(
    data: DetectionData, results: list[dict[str, Any]], annotated: list[str]
) -> list[str]:
    """Which comparisons both sides allow."""
    if isinstance(results, CocoResults):
        if "segm" in results.iou_types and data.boxes_only:
            warnings.warn(
                f"Masks are not evaluated: {data.missing_outlines}", UserWarning, stacklevel=4
            )
        return [name for name in annotated if name in results.iou_types]
    common = [n for n in annotated if all(RESULT_FIELDS[n] in r for r in results)]
    if not common:
        raise ValueError(
            f"Expected each result to hold one of {[RESULT_FIELDS[n] for n in annotated]}. "
            f"Received: {len(results)} results that do not"
        )
    return common


def _place(number: int) -> str:
    return f"results[{number}]"


def _annotated_types(data: DetectionData) -> list[str]:
    """Which comparisons the ground truth allows."""
    instances = [i for record in data.records for i in record.instances if not i.is_crowd]
    types = ["bbox"]
    if not data.boxes_only:
        types.append("segm")
    if any(i.keypoints is not None for i in instances):
        types.append("keypoints")
    return types
