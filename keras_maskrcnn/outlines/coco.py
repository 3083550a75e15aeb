"""Outlines from COCO's JSON."""

from __future__ import annotations

from typing import Any

from keras_maskrcnn.outlines.base import Outline
from keras_maskrcnn.outlines.polygons import Polygons
from keras_maskrcnn.outlines.rle import RLE


def outline_from_coco(segmentation: Any) -> Outline:
    """The outline that a COCO file's `segmentation` describes; `Outline.to_coco` is the way back.

    Args:
        segmentation: list of polygons `[x, y, x, y, ...]`, or an RLE
            `{"size": [height, width], "counts": list, str or bytes}`. What stands in them is not
            checked: that is a reader's part.

    Raises:
        ValueError: if it is neither.
    """
    if isinstance(segmentation, dict) and {"size", "counts"} <= set(segmentation):
        return RLE(segmentation["size"], segmentation["counts"])
    if isinstance(segmentation, list | tuple) and segmentation:
        return Polygons(segmentation)
    raise ValueError(
        "segmentation must be a list of polygons or an RLE of size and counts. "
        f"Received: segmentation={segmentation!r:.200}"
    )
