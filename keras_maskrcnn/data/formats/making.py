"""Makes the outlines that records hold: the one place where readers do so."""

from __future__ import annotations

from collections.abc import Sequence

from pycocotools import mask as coco_mask

from keras_maskrcnn.data.formats.problems import ItemError
from keras_maskrcnn.outlines import RLE, Bitmap, Outline, Polygons
from keras_maskrcnn.outlines.base import Box

# A part of an object: a polygon [x, y, x, y, ...] in continuous pixels, or a cropped mask.
Part = list[float] | Bitmap


def made_outline(
    polygons: Sequence[list[float]], masks: Sequence[Bitmap], size: tuple[int, int]
) -> Outline | None:
    """An object's outline; the arguments have been checked.

    Args:
        polygons, masks: its parts, of which the union counts; masks lie within the picture.
        size: height and width of the picture.
    """
    if not masks:
        return Polygons(list(polygons)) if polygons else None
    parts: list[Outline] = [*masks, *([Polygons(list(polygons))] if polygons else [])]
    encoded = [part.to_rle(*size) for part in parts]
    if len(encoded) == 1:
        return encoded[0]
    united = coco_mask.merge([{"size": list(size), "counts": rle.counts} for rle in encoded])
    return RLE(size, united["counts"])


def bounds_of(boxes: Sequence[Box]) -> Box:
    """The box around boxes; `ItemError` where there is none."""
    if not boxes:
        raise ItemError("object has neither outline nor box")
    if len(boxes) == 1:
        return boxes[0]
    # Plain Python: for a few numbers it is several times faster than arrays.
    x1, y1, x2, y2 = zip(*boxes, strict=True)
    return min(x1), min(y1), max(x2), max(y2)
