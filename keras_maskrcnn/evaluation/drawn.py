"""A picture as annotated and as found, beside each other, with right and wrong in two colours."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from keras_maskrcnn.data.reading import read_image
from keras_maskrcnn.drawing import CROWD_COLOR, Shape, draw_shapes
from keras_maskrcnn.evaluation.analysis import ERROR_TYPES, Comparison, Matching
from keras_maskrcnn.evaluation.compared import Compared
from keras_maskrcnn.outlines import RLE

# Blue and orange: most who confuse red and green tell these apart.
RIGHT_COLOR = (70, 150, 255)
WRONG_COLOR = (255, 120, 40)


def draw_pair(
    compared: Compared, comparison: Comparison, place: int, side: int = 460
) -> tuple[Image.Image, Image.Image] | None:
    """Draws a picture's objects, and the results that reach their class's threshold.

    Found objects and right results are blue, missed objects and wrong results orange, crowd
    regions and results in them grey.

    Args:
        compared: both sides.
        comparison: of boxes or masks.
        place: of the picture in `comparison.pictures.image_ids`.
        side: length of a drawn picture's longer side in pixels.

    Returns:
        `(annotated, found)`, or `None` where the picture is not at hand, cannot be read, or is of
        another size than the annotations say.
    """
    image_id = int(comparison.pictures.image_ids[place])
    size = compared.sizes[image_id]
    try:
        image = read_image(compared.paths[image_id], compared.pixels)
    except (KeyError, ValueError):
        return None
    if size is not None and image.shape[:2] != tuple(size):
        return None
    scale = side / max(image.shape[:2])
    shown = Image.fromarray(compared.pixels.displayed(image))
    width, height = (max(1, round(v * scale)) for v in shown.size)
    how = Image.Resampling.NEAREST if scale > 2 else Image.Resampling.LANCZOS
    canvas = np.asarray(shown.resize((width, height), how))
    annotated, found = (
        draw_shapes(canvas.copy(), shapes, boxes=True, labels=True, skeleton=None)
        for shapes in (
            _truth(compared, comparison, place, scale),
            _found(compared, comparison, place, scale),
        )
    )
    return Image.fromarray(annotated), Image.fromarray(found)


def _truth(compared: Compared, comparison: Comparison, place: int, scale: float) -> list[Shape]:
    matching, pictures = comparison.matching, comparison.pictures
    entries = compared.truth[matching.iou_type]
    shapes = []
    for row in np.flatnonzero(matching.gt_images == place):
        name = _name(matching, matching.gt_classes[row])
        if matching.all.gt_ignored[row]:
            texts, color = [f"{name} (crowd)".lstrip()], CROWD_COLOR
        elif pictures.gt_found[row]:
            texts, color = [name] if name else [], RIGHT_COLOR
        else:
            texts, color = [f"{name} missed".lstrip(), "missed"], WRONG_COLOR
        shape = Shape(matching.gt_boxes[row] * scale, 0, texts, color)
        shapes.append(_with_mask(shape, entries[matching.gt_numbers[row]], scale))
    return shapes


def _found(compared: Compared, comparison: Comparison, place: int, scale: float) -> list[Shape]:
    matching = comparison.matching
    entries = compared.found[matching.iou_type]
    t = matching.threshold(comparison.thresholds.iou)
    shapes = []
    for row in np.flatnonzero(comparison.pictures.counted & (matching.pred_images == place)):
        name = _name(matching, matching.pred_classes[row])
        score = f"{matching.pred_scores[row]:.2f}"
        texts = [f"{name} {score}".lstrip(), score]
        if matching.all.ignored[t, row]:
            color = CROWD_COLOR
        elif matching.all.right[t, row]:
            color = RIGHT_COLOR
        else:
            kind = ERROR_TYPES[comparison.errors.kinds[row]]
            texts, color = [f"{texts[0]}: {kind}", kind], WRONG_COLOR
        shape = Shape(matching.pred_boxes[row] * scale, 0, texts, color)
        shapes.append(_with_mask(shape, entries[matching.pred_numbers[row]], scale))
    return shapes


def _name(matching: Matching, category: int) -> str:
    """Of a single class, the name tells nothing."""
    return matching.class_names[category] if len(matching.class_names) > 1 else ""


def _with_mask(shape: Shape, entry: dict[str, Any], scale: float) -> Shape:
    if "segmentation" not in entry:
        return shape
    rle = entry["segmentation"]
    bitmap = RLE(rle["size"], rle["counts"]).bitmap()
    x1, y1, x2, y2 = (round(v * scale) for v in bitmap.bounds())
    if x2 > x1 and y2 > y1:
        cells = Image.fromarray(bitmap.bits.astype(np.uint8) * 255)
        mask = cells.resize((x2 - x1, y2 - y1), Image.Resampling.BILINEAR)
        shape.left, shape.top, shape.mask = x1, y1, np.asarray(mask) >= 128
    return shape
