"""The pixels of masks, which a head gives as probabilities over a box, and tiles as outlines.

Legend: `D` objects, `h w` picture size, `ch cw` size of a crop.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_maskrcnn.ops.paste import paste_crop, paste_masks, paste_rle

if TYPE_CHECKING:
    from keras_maskrcnn.results.detections import Detections


def probabilities(found: Detections) -> np.ndarray:
    """`[D, M, M]`.

    Raises:
        ValueError: where there are none.
    """
    if found.mask_probabilities is None:
        raise ValueError(
            "These detections have no masks: the model was built without a mask head. "
            "Received: mask_probabilities=None"
        )
    return found.mask_probabilities


def crops(
    found: Detections, scale: float = 1.0, rows: Iterable[int] | None = None
) -> Iterator[tuple[int, int, np.ndarray]]:
    """The part of the picture that each object can reach, one at a time.

    Args:
        found: `D` objects.
        scale: of the picture in which they are wanted.
        rows: which of them, in this order; all by default.

    Yields:
        `left`, `top`, the pixel where the crop starts, and its values, float32 `[ch, cw]`: the
        object's pixels are those of .5 and more. No pixels for an object that is outside.

    Raises:
        ValueError: where there are no masks.
    """
    height, width = (max(1, round(side * scale)) for side in found.image_size)
    rows = range(len(found)) if rows is None else rows
    if found.outlines is None:
        masks = probabilities(found)
        for row in rows:
            yield paste_crop(masks[row], found.boxes[row] * scale, (height, width))
        return
    for row in rows:
        small = found.outlines[row].bitmap()
        left, columns = _nearest(small.left, small.bits.shape[1], width, scale)
        top, rows = _nearest(small.top, small.bits.shape[0], height, scale)
        yield left, top, small.bits[np.ix_(rows, columns)].astype("float32")


def _nearest(start: int, length: int, limit: int, scale: float) -> tuple[int, np.ndarray]:
    """Of cells `start` to `start + length` along an axis that is scaled: the first pixel whose
    centre lies in them, and the cell of each such pixel within `limit`."""
    reach = np.arange(max(int(start * scale) - 1, 0), min(int((start + length) * scale) + 2, limit))
    cells = np.floor((reach + 0.5) / scale).astype(int) - start
    inside = (cells >= 0) & (cells < length)
    first = int(reach[inside][0]) if inside.any() else 0
    return first, cells[inside]


def whole_masks(found: Detections) -> np.ndarray:
    """See `Detections.masks`."""
    if found.outlines is None:
        return paste_masks(probabilities(found), found.boxes, found.image_size)
    masks = np.zeros((len(found), *found.image_size), bool)
    for mask, (left, top, values) in zip(masks, crops(found), strict=True):
        mask[top : top + values.shape[0], left : left + values.shape[1]] = values >= 0.5
    return masks


def rles(found: Detections) -> list[dict[str, Any]]:
    """See `Detections.rles`."""
    if found.outlines is None:
        return [
            paste_rle(mask, box, found.image_size)
            for mask, box in zip(probabilities(found), found.boxes, strict=True)
        ]
    return [outline.to_coco(*found.image_size) for outline in found.outlines]
