"""What ground truth and results must be before they reach the C code of the COCO tools.

That code trusts its input: run lengths that do not add up to the picture let it run for ever, and a
string that breaks off is read past its end.
"""

from __future__ import annotations

import re
from reprlib import repr as shown  # Cuts what is long.
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from keras_maskrcnn.data.formats.problems import ItemError
from keras_maskrcnn.outlines import decode_counts

Size = tuple[int, int]

# Far beyond any picture, and products of two are still exact enough to compare.
_LARGEST = 1e12
_LARGEST_ID = 2**63 - 1
# Compressed counts of six characters hold 29 bits and a sign; the COCO tools shift 32-bit numbers.
_MOST_PIXELS = 2**29
_COMPRESSED = re.compile(rb"(?:[P-o]{0,5}[0-O])+")
# The COCO tools walk along an outline in steps of a fifth of a pixel and keep every step.
_LONGEST_OUTLINE = 2**22
_FARTHEST_VERTEX = 2**24


def is_number(value: Any) -> bool:
    """Whether this is a finite number of a sensible size; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return False
    return bool(-_LARGEST <= value <= _LARGEST)


def is_id(value: Any) -> bool:
    """Whether this can be an id: an integer that fits 64 bits."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        return False
    return bool(-_LARGEST_ID <= value <= _LARGEST_ID)


def check_box(value: Any) -> list[float]:
    """A box as COCO writes it: x, y, width, height.

    Raises:
        ItemError: when it is none.
    """
    if not (_is_list(value) and len(value) == 4 and all(map(is_number, value))):
        raise ItemError(f"expected four finite numbers as bbox. Received: bbox={shown(value)}")
    if value[2] < 0 or value[3] < 0:
        raise ItemError(
            f"expected a bbox of x, y, width, height, of which the last two are not negative. "
            f"Received: bbox={shown(value)}"
        )
    return [float(v) for v in value]


def check_keypoints(value: Any, joints: int | None) -> list[float]:
    """Keypoints as COCO writes them: x, y and a third number in turn.

    Args:
        value: what stands in the file.
        joints: how many points there must be; `None`: any number.

    Raises:
        ItemError: when they are none.
    """
    if not (_is_list(value) and value and len(value) % 3 == 0 and all(map(is_number, value))):
        raise ItemError(
            "expected keypoints as x, y and a third number for each point. "
            f"Received: keypoints={shown(value)}"
        )
    if joints is not None and len(value) != 3 * joints:
        raise ItemError(f"expected {joints} keypoints. Received: {len(value) // 3} of them")
    return [float(v) for v in value]


def size_of(height: Any, width: Any) -> Size | None:
    """Height and width of a picture, or `None` where the file tells neither.

    Raises:
        ItemError: when they are no sizes.
    """
    if height is None and width is None:
        return None
    if not (is_id(height) and is_id(width) and height > 0 and width > 0):
        raise ItemError(
            "expected height and width as positive integers. "
            f"Received: height={shown(height)}, width={shown(width)}"
        )
    return int(height), int(width)


def encode_outline(value: Any, size: Size | None) -> dict[str, Any]:
    """An outline as COCO's compressed run-length encoding.

    Args:
        value: a list of polygons, or an RLE, compressed or not.
        size: height and width of the picture; `None`: not known.

    Returns:
        `{"size": [height, width], "counts": str or bytes}`, safe to give to pycocotools.

    Raises:
        ItemError: when it is no outline in a picture of that size.
    """
    if size is None or size[0] * size[1] >= _MOST_PIXELS:
        raise ItemError(
            f"masks need the height and width of their picture, under {_MOST_PIXELS} pixels in "
            f"all. Received: height and width {size}"
        )
    if isinstance(value, dict):
        return _check_rle(value, size)
    if not _is_list(value) or not value:
        raise ItemError(
            f"expected a segmentation of polygons or an RLE. Received: segmentation={shown(value)}"
        )
    for polygon in value:
        _check_polygon(polygon)
    return coco_mask.merge(coco_mask.frPyObjects(list(value), *size))


def _check_rle(rle: dict[str, Any], size: Size) -> dict[str, Any]:
    if not _is_list(rle.get("size")) or list(rle["size"]) != list(size):
        raise ItemError(
            f"a mask must have its picture's size {list(size)}. "
            f"Received: a mask of size {shown(rle.get('size'))}"
        )
    counts: Any = rle.get("counts")
    if isinstance(counts, str | bytes):
        text = counts.encode() if isinstance(counts, str) else counts
        is_valid = _COMPRESSED.fullmatch(text) is not None
    else:
        is_valid = _is_list(counts) and all(is_id(n) and n < _MOST_PIXELS for n in counts)
    if not is_valid:
        raise ItemError(
            "expected run lengths, as integers or as COCO's compressed text. "
            f"Received: counts={shown(counts)}"
        )
    lengths = decode_counts(counts)
    if lengths.size == 0 or lengths.min() < 0 or lengths.sum() != size[0] * size[1]:
        raise ItemError(
            f"expected run lengths of {size[0] * size[1]} pixels in all, none negative. "
            f"Received: counts={shown(counts)}"
        )
    whole = {"size": list(size), "counts": counts}
    return whole if isinstance(counts, str | bytes) else coco_mask.frPyObjects(whole, *size)


def _check_polygon(polygon: Any) -> None:
    if not (_is_list(polygon) and all(map(is_number, polygon))):
        raise ItemError(
            f"expected a polygon of finite numbers x, y, x, y, ... Received: {shown(polygon)}"
        )
    # The COCO tools take four numbers for a box, and drop the last of an odd count.
    if len(polygon) < 6 or len(polygon) % 2:
        raise ItemError(
            "expected a polygon of 3 points or more, each x and y. "
            f"Received: {len(polygon)} numbers"
        )
    least, most = min(polygon), max(polygon)
    if max(-least, most) > _FARTHEST_VERTEX or (
        # The first is quick and nearly always enough.
        len(polygon) * (most - least) > _LONGEST_OUTLINE and _length(polygon) > _LONGEST_OUTLINE
    ):
        raise ItemError(
            f"expected a polygon within {_FARTHEST_VERTEX} pixels of the picture, and of a length "
            f"of {_LONGEST_OUTLINE} pixels at most. Received: {shown(polygon)}"
        )


def _length(polygon: Any) -> float:
    points = np.asarray(polygon, float).reshape(-1, 2)
    return float(np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum())


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray)
