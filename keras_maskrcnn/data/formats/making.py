"""Makes the outlines that records hold: the one place where readers do so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from keras_maskrcnn.data.formats.problems import ItemError
from keras_maskrcnn.outlines import RLE, Outline, Polygons
from keras_maskrcnn.outlines.base import Box


@dataclass(frozen=True, eq=False)
class Patch:
    """A mask that is cropped.

    Args:
        bits: bool `[h, w]`.
        x, y: column and row of its top left pixel in the picture; it may reach out of it.
    """

    bits: np.ndarray
    x: int = 0
    y: int = 0


def made_outline(
    *,
    polygons: Sequence[list[float]],
    patches: Sequence[Patch],
    size: tuple[int, int],
) -> Outline | None:
    """An object's outline; the arguments have been checked.

    Args:
        polygons: `[x, y, x, y, ...]` each; together with `patches`, the union of all.
        patches: cropped masks within the picture.
        size: height and width of the picture.
    """
    if not patches:
        return Polygons(list(polygons)) if polygons else None
    parts = [_encoded(patch, size) for patch in patches]
    if polygons:
        drawn = Polygons(list(polygons)).draw_whole(*size).astype(bool)
        parts.append(_encoded(Patch(drawn), size))
    united = parts[0] if len(parts) == 1 else coco_mask.merge(parts)
    return RLE(size, united["counts"])


def within(patch: Patch, size: tuple[int, int]) -> Patch:
    """The part of a patch that lies in a picture, cropped to what is set; it may be empty."""
    top, left = max(0, -patch.y), max(0, -patch.x)
    bits = patch.bits[top : max(0, size[0] - patch.y), left : max(0, size[1] - patch.x)]
    rows, columns = np.flatnonzero(bits.any(axis=1)), np.flatnonzero(bits.any(axis=0))
    if not rows.size:
        return Patch(np.zeros((0, 0), bool))
    bits = bits[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Patch(bits, patch.x + left + int(columns[0]), patch.y + top + int(rows[0]))


def bounds_of(polygons: Sequence[Box], patches: Sequence[Patch]) -> Box:
    """The box of an outline, by those of its polygons; `ItemError` where there is nothing."""
    boxes = list(polygons)
    boxes += [(p.x, p.y, p.x + p.bits.shape[1], p.y + p.bits.shape[0]) for p in patches]
    if not boxes:
        raise ItemError("object has neither outline nor box")
    if len(boxes) == 1:
        return boxes[0]
    # Plain Python: for a few numbers it is several times faster than arrays.
    x1, y1, x2, y2 = zip(*boxes, strict=True)
    return min(x1), min(y1), max(x2), max(y2)


def _encoded(patch: Patch, size: tuple[int, int]) -> dict[str, Any]:
    """COCO's compressed RLE of the whole picture, made from the crop alone."""
    height, width = size
    columns = patch.bits.T
    edges = np.diff(np.pad(columns, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    start_column, start_row = np.nonzero(edges == 1)
    end_column, end_row = np.nonzero(edges == -1)
    starts = (start_column + patch.x) * height + patch.y + start_row
    ends = (end_column + patch.x) * height + patch.y + end_row
    # A run that ends at the bottom of one column goes on at the top of the next.
    apart = starts[1:] != ends[:-1]
    starts = np.concatenate([starts[:1], starts[1:][apart]])
    ends = np.concatenate([ends[:-1][apart], ends[-1:]])
    borders = np.stack([starts, ends], axis=1).ravel()
    counts = np.diff(borders, prepend=0, append=height * width)
    # The COCO tools write no empty run at the end, so that equal masks have equal codes.
    counts = counts if counts[-1] else counts[:-1]
    return coco_mask.frPyObjects({"size": [height, width], "counts": counts.tolist()}, *size)
