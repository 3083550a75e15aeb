"""Mistakes in ground truth that a model would not notice, but learn nothing from.

Pure functions on arrays. Legend: `B` pictures, `N` objects, `Nc` crowd regions, `K` classes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from keras_maskrcnn.checks import check_shape
from keras_maskrcnn.images.pixels import PixelFormat
from keras_maskrcnn.models.input_checks import RGB, check_images
from keras_maskrcnn.models.network import Network

# Boxes that were scaled, clipped and rounded may end this many pixels outside.
_BOX_TOLERANCE = 1.0


def check_batch(
    images: np.ndarray,
    targets: Mapping[str, np.ndarray],
    network: Network,
    pixels: PixelFormat = RGB,
) -> None:
    """Checks a batch of pictures and ground truth against what a model reads.

    Args:
        images: as of `check_images`.
        targets: arrays as `DetectionData.batches` describes them.
        network: of the model.
        pixels: of the model.

    Raises:
        ValueError: as `check_images`; or when a class is not one of the model's, a box is no
            `x1, y1, x2, y2` inside its picture, masks are not 0..255, or keypoints are not as many
            as the model's.
    """
    sizes = targets["image_sizes"]
    names = check_images(images, sizes, targets.get("image_ids"), pixels)
    _check_shapes(images, targets)
    real = _check_classes(targets["classes"], network.box.num_classes, names)
    _check_boxes("boxes", targets["boxes"], real, sizes, names)
    crowds = targets["crowd_boxes"]
    _check_boxes("crowd_boxes", crowds, np.any(crowds != 0, axis=-1), sizes, names)
    for head in network.heads:
        head.check(targets, head.layout({"images": images, **targets}), real)


def _check_shapes(images: np.ndarray, targets: Mapping[str, np.ndarray]) -> None:
    count = len(images)
    check_shape("boxes", targets["boxes"], (count, "N", 4))
    check_shape("classes", targets["classes"], (count, targets["boxes"].shape[1]))
    check_shape("crowd_boxes", targets["crowd_boxes"], (count, "Nc", 4))


def _check_classes(classes: np.ndarray, num_classes: int, names: list[str]) -> np.ndarray:
    """Which rows are objects rather than padding."""
    known = (classes >= -1) & (classes < num_classes)
    for row, name in enumerate(names):
        if not known[row].all():
            wrong = classes[row][~known[row]][0]
            advice = (
                "; classes are counted from 0, without background" if wrong == num_classes else ""
            )
            raise ValueError(
                f"classes must be 0..{num_classes - 1}, and -1 where padded{advice}. "
                f"Received: {name} with class {wrong}"
            )
    return classes >= 0


def _check_boxes(
    field: str, boxes: np.ndarray, real: np.ndarray, sizes: np.ndarray, names: list[str]
) -> None:
    if real.any() and np.all(boxes[real] >= 0) and np.all(boxes[real] <= 1):
        row = int(np.argmax(real.any(axis=1)))
        raise ValueError(
            f"{field} must be x1, y1, x2, y2 in pixels: multiply fractions by the picture's width "
            f"and height. Received: {names[row]} with the box {_box(boxes[row][real[row]][0])}"
        )
    for row, name in enumerate(names):
        height, width = (int(side) for side in sizes[row])
        limit = np.array([width, height, width, height]) + _BOX_TOLERANCE
        for box in boxes[row][real[row]]:
            if not np.isfinite(box).all():
                advice = "finite numbers"
            elif not (box[2] > box[0] and box[3] > box[1]):
                advice = (
                    "x2 over x1 and y2 over y1: x, y, width, height become x, y, x + width, "
                    "y + height"
                )
            elif np.any(box < -_BOX_TOLERANCE) or np.any(box > limit):
                advice = f"inside the picture as the batch holds it, {width} wide and {height} high"
            else:
                continue
            raise ValueError(
                f"{field} must be x1, y1, x2, y2 in pixels, {advice}. "
                f"Received: {name} with the box {_box(box)}"
            )


def _box(box: np.ndarray) -> list[float]:
    return [round(float(value), 3) for value in box]
