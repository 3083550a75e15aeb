"""What a model finds in a data set, in COCO's format.

Masks are held as run-length encodings, made one at a time, so memory does not grow with the size of
the pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_maskrcnn.evaluation.classes import match_classes
from keras_maskrcnn.results import Detections
from keras_maskrcnn.tensorflow_errors import plain_errors

if TYPE_CHECKING:
    import keras

    from keras_maskrcnn.data.detection_data import DetectionData
    from keras_maskrcnn.data.records import ImageRecord
    from keras_maskrcnn.inference.tiling import Tiling


class CocoResults(list[dict[str, Any]]):
    """Results in COCO's format: dicts as `Detections.to_coco` gives them.

    Attributes:
        iou_types: which of `"bbox"`, `"segm"` and `"keypoints"` the model predicts, which a list
            without results does not tell.
    """

    def __init__(self, results: Iterable[dict[str, Any]] = (), iou_types: Iterable[str] = ()):
        super().__init__(results)
        self.iou_types = set(iou_types)


@plain_errors()
def coco_results(
    model: keras.Model,
    data: DetectionData,
    *,
    batch_size: int = 1,
    min_size: int | None = None,
    max_size: int | None = None,
    progress: bool = True,
    augment: Any = False,
    tile: int | Tiling | None = None,
    overlap: int | None = None,
) -> CocoResults:
    """Run a model over a data set.

    Args:
        model: a `MaskRCNN`.
        data: the pictures.
        batch_size, min_size, max_size, progress, augment, tile, overlap: as in `evaluate_coco`.

    Returns:
        `CocoResults`, which `coco_metrics` and `analyse` take.

    Raises:
        ValueError: as `evaluate_coco`.

    Example:

    >>> results = coco_results(model, data)
    >>> analysis = analyse(data, results)
    """
    # Processes that score results need none of it.
    import keras

    if augment and batch_size != 1:
        raise ValueError(
            "augment looks at one picture at a time, in several sizes: batch_size must be 1. "
            f"Received: augment={augment} with batch_size={batch_size}"
        )
    classes = match_classes(model, data)
    model.pixels.require_like(data.pixels, f"the data set {data.name!r}")
    if not augment and tile is None:
        pictures = _found(model, data, batch_size, min_size, max_size)
    elif min_size is None and max_size is None:
        pictures = _predicted(model, data, batch_size, augment, tile, overlap)
    elif augment:
        raise ValueError(
            "augment has sizes of its own: TestTimeAugmentation(min_sizes=..., max_size=...). "
            f"Received: augment={augment} with min_size={min_size}, max_size={max_size}"
        )
    else:
        raise ValueError(
            "tile looks at pictures in their own size, or in the scales of a Tiling. "
            f"Received: tile={tile} with min_size={min_size}, max_size={max_size}"
        )
    bar = keras.utils.Progbar(len(data.records), verbose=int(progress), unit_name="picture")
    results = CocoResults()
    for record, found in pictures:
        results.iou_types.update(_predicted_types(found))
        found = found.with_classes(classes, data.class_names)
        results.extend(found.to_coco(record.image_id, data.category_ids))
        bar.add(1)
    return results


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


def _predicted(
    model: Any, data: DetectionData, batch_size: int, augment: Any, tile: Any, overlap: int | None
) -> Iterator[tuple[ImageRecord, Detections]]:
    """What `predict` finds in each picture, one at a time."""
    for record in data.records:
        (found,) = model.predict(
            record.path, batch_size, verbose=0, augment=augment, tile=tile, overlap=overlap
        )
        yield record, found


def _predicted_types(found: Detections) -> Iterator[str]:
    """Which comparisons a model's results allow."""
    yield "bbox"
    if found.has_masks:
        yield "segm"
    if found.keypoints is not None:
        yield "keypoints"
