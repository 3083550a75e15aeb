"""Average precision as COCO defines it (Lin et al. 2014).

Ground truth comes from the data set's own records at the pictures' full resolution: never from the
resized and sampled training targets. Results are held as run-length encodings, one picture's worth
of masks at a time, so memory does not grow with the size of the pictures.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_maskrcnn.evaluation.classes import match_classes
from keras_maskrcnn.evaluation.files import save_results
from keras_maskrcnn.evaluation.metrics import CocoMetrics, check_options, summarize
from keras_maskrcnn.evaluation.results import RESULT_FIELDS, check_results, prepare_results
from keras_maskrcnn.evaluation.truth import truth_of_data
from keras_maskrcnn.results import Detections
from keras_maskrcnn.tensorflow_errors import plain_errors

if TYPE_CHECKING:
    from keras_maskrcnn.data.records import DetectionData, ImageRecord
    from keras_maskrcnn.evaluation.scoring import Scores


@plain_errors()
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
        augment: test-time augmentation, as `MaskRCNN.predict` takes it. It has sizes of its own.

    Returns:
        `CocoMetrics`.

    Raises:
        ValueError: when the data has a class that the model does not know, its pictures are of
            other channels or another range than the model's, or a picture cannot be read; for
            `augment` with `min_size` or `max_size`.
        ImportError: without faster-coco-eval.
    """
    # Before the model runs, not after.
    import keras_maskrcnn.evaluation.scoring  # noqa: F401

    classes = match_classes(model, data)
    model.pixels.require_like(data.pixels, f"the data set {data.name!r}")
    if not augment:
        pictures = _found(model, data, batch_size, min_size, max_size)
    elif min_size is None and max_size is None:
        pictures = _found_augmented(model, data, augment)
    else:
        raise ValueError(
            "augment has sizes of its own: TestTimeAugmentation(min_sizes=..., max_size=...). "
            f"Received: augment={augment} with min_size={min_size}, max_size={max_size}"
        )
    bar = keras.utils.Progbar(len(data.records), verbose=int(progress), unit_name="picture")
    results: list[dict[str, Any]] = []
    known: set[str] = set()
    for record, found in pictures:
        known.update(_predicted_types(found))
        found = found.with_classes(classes, data.class_names)
        results.extend(found.to_coco(record.image_id, data.category_ids))
        bar.add(1)
    if iou_types is None:
        iou_types = [name for name in _annotated_types(data) if name in known]
        if "segm" in known and data.boxes_only:
            warnings.warn(
                f"Masks are not evaluated: {data.missing_outlines}", UserWarning, stacklevel=2
            )
    metrics = coco_metrics(data, results, iou_types=iou_types, max_detections=max_detections)
    if save_results_to is not None:
        save_results(Path(save_results_to), results, iou_types)
    return metrics


def _found(
    model: Any, data: DetectionData, batch_size: int, min_size: int | None, max_size: int | None
) -> Iterator[tuple[ImageRecord, Detections]]:
    """What the model finds in each picture."""
    own = model.input_size
    records = {record.image_id: record for record in data.records}
    batches = data.batches(
        batch_size,
        min_size=own.min_size if min_size is None else min_size,
        max_size=own.max_size if max_size is None else max_size,
        size_divisor=own.divisor,
        masks=False,  # What is compared comes from the records.
    )
    for images, targets in batches:
        sizes = np.asarray(targets["image_sizes"])
        outputs = model.predict_on_batch({"images": images, "image_sizes": targets["image_sizes"]})
        for row, image_id in enumerate(np.asarray(targets["image_ids"]).tolist()):
            record = records[image_id]
            found = Detections.from_padded(
                outputs,
                row,
                image_size=sizes[row],
                original_size=(record.height, record.width),
                keypoint_shift=model.keypoint_shift,
            )
            yield record, found


def _found_augmented(
    model: Any, data: DetectionData, augment: Any
) -> Iterator[tuple[ImageRecord, Detections]]:
    for record in data.records:
        yield record, model.predict(record.path, verbose=0, augment=augment)[0]


def _predicted_types(found: Detections) -> Iterator[str]:
    """Which comparisons a model's results allow."""
    yield "bbox"
    if found.mask_probabilities is not None:
        yield "segm"
    if found.keypoints is not None:
        yield "keypoints"


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
        if not iou_types:
            raise ValueError(
                f"Expected each result to hold one of {[RESULT_FIELDS[n] for n in annotated]}. "
                f"Received: {len(results)} results that do not"
            )
    check_options(iou_types, max_detections)
    for name in iou_types:
        if name not in annotated:
            missing = f": {data.missing_outlines}" if name == "segm" else ""
            raise ValueError(
                f"iou_types={name!r} needs that annotation in the data, which has {annotated}"
                f"{missing}. Received: iou_types={tuple(iou_types)}"
            )
    scores = {name: score(data, results, name, max_detections) for name in iou_types}
    return summarize(scores, data.class_names, data.category_ids)


def score(
    data: DetectionData, results: Sequence[dict[str, Any]], iou_type: str, max_detections: int
) -> Scores:
    """Precision and recall of results in COCO's format.

    The area of an unmatched result, which makes it small, medium or large, is that of what is
    compared: of the mask, where masks are. pycocotools takes the box's where a result has both, so
    its users leave the boxes out for masks, as COCO's own results files do.

    Args:
        data: the pictures and their ground truth.
        results: as `Detections.to_coco` gives them.
        iou_type: `"bbox"`, `"segm"` or `"keypoints"`.
        max_detections: best results of a picture and category that count; of keypoints at most 20,
            as COCO has it.

    Returns:
        `Scores`.

    Raises:
        ValueError: as `coco_metrics`.
    """
    # Training and prediction need no faster-coco-eval.
    from keras_maskrcnn.evaluation.scoring import match

    sizes = {record.image_id: (record.height, record.width) for record in data.records}
    check_results(results, sizes, set(data.category_ids), _place)
    truth = truth_of_data(data, iou_type)
    found = prepare_results(
        results, iou_type, area_of=RESULT_FIELDS[iou_type], sizes=sizes, place=_place
    )
    return match(sizes, data.category_ids, truth, found, iou_type, max_detections)


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
