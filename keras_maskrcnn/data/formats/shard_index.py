"""The lines of a shard index: a picture's annotations as JSON that keeps every digit.

The same text is in the record of the picture itself, so that shards tell all that the index does.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from keras_maskrcnn.data.formats.checks import (
    check_area,
    check_entry,
    check_integer,
    check_list,
    clip_box,
    finite_floats,
)
from keras_maskrcnn.data.formats.problems import ItemError, shown
from keras_maskrcnn.data.picture_files import MAX_PIXELS
from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.outlines import RLE, Bitmap, Outline, Polygons, decode_counts
from keras_maskrcnn.outlines.base import Box


def picture_entry(record: ImageRecord, name: str, image_id: int, bits: int) -> dict[str, Any]:
    """A picture as JSON holds it.

    Args:
        record: the picture and its objects.
        name: of its file.
        image_id: its id.
        bits: of each channel.
    """
    return {
        "id": int(image_id),
        "name": name,
        "height": int(record.height),
        "width": int(record.width),
        "bits": bits,
        "objects": [_object_entry(o, record) for o in record.instances],
    }


def read_picture_entry(entry: dict[str, Any], path: str) -> ImageRecord:
    """The picture of an entry, without its objects; `ItemError` where it cannot be used."""
    height, width, bits = (check_integer(entry, key) for key in ("height", "width", "bits"))
    if min(height, width, bits) <= 0:
        raise ItemError("height, width or bits are not positive", f" ({height}, {width}, {bits})")
    if height * width > MAX_PIXELS:
        raise ItemError(f"picture has more than {MAX_PIXELS} pixels", f" ({height} x {width})")
    return ImageRecord(check_integer(entry, "id"), path, height, width, bits=bits)


def read_object_entry(
    value: Any, image: ImageRecord, classes: int, keypoints: int
) -> tuple[int, Instance]:
    """An object of an entry; `ItemError` where it cannot be used.

    Args:
        value: one of its `objects`.
        image: its picture.
        classes: K of the index.
        keypoints: J of the index.
    """
    entry = check_entry(value)
    category = check_integer(entry, "class")
    if not 0 <= category < classes:
        raise ItemError("unknown class", f" ({category})")
    crowd = entry.get("crowd", False)
    if type(crowd) is not bool:
        raise ItemError("crowd is neither true nor false", f" ({shown(crowd)})")
    attributes = check_entry(entry.get("attributes", {}))
    if finite_floats(list(attributes.values())) is None:
        raise ItemError("attributes are not finite numbers", f" ({shown(attributes)})")
    return category, Instance(
        category,
        _box(entry.get("box"), image),
        _read_outline(entry.get("outline")),
        crowd,
        check_area(entry),
        check_integer(entry, "id"),
        _read_keypoints(entry.get("keypoints"), keypoints),
        attributes,
    )


def _object_entry(o: Instance, record: ImageRecord) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": int(o.annotation_id),
        "class": int(o.category),
        "box": [float(value) for value in o.box],
    }
    if o.annotated_area is not None:
        entry["area"] = float(o.annotated_area)
    if o.is_crowd:
        entry["crowd"] = True
    if o.outline is not None:
        entry["outline"] = _outline_entry(o.outline, record)
    if o.keypoints is not None:
        entry["keypoints"] = np.asarray(o.keypoints, np.float64).ravel().tolist()
    if o.attributes:
        entry["attributes"] = {name: float(value) for name, value in o.attributes.items()}
    return entry


def _outline_entry(outline: Outline, record: ImageRecord) -> dict[str, Any]:
    if isinstance(outline, Polygons):
        # Its parts, each of its loops, of which all but one are holes.
        groups = [[loop.ravel().tolist() for loop in group] for group in outline.groups]
        return {"polygons": groups}
    if isinstance(outline, Bitmap):
        height, width = outline.bits.shape
        code = Bitmap(outline.bits).to_rle(height, width).counts if outline.bits.size else ""
        place = {"left": int(outline.left), "top": int(outline.top)}
        return {"bitmap": {"size": [height, width], "counts": _text(code), **place}}
    rle = outline if isinstance(outline, RLE) else outline.to_rle(record.height, record.width)
    return {"rle": {"size": list(rle.size), "counts": _text(rle.counts)}}


def _text(counts: Any) -> str | list[int]:
    if isinstance(counts, bytes):
        return counts.decode("ascii")
    return counts if isinstance(counts, str) else [int(count) for count in counts]


def _read_outline(value: Any) -> Outline | None:
    if value is None:
        return None
    entry = check_entry(value)
    if list(entry) == ["polygons"]:
        groups = check_list(entry, "polygons")
        if not all(isinstance(group, list) and group for group in groups):
            raise ItemError("polygons are no lists of loops", f" ({shown(groups)})")
        return Polygons.from_loops([[_loop(loop) for loop in group] for group in groups])
    if list(entry) == ["rle"]:
        rle = check_entry(entry["rle"])
        return RLE(_size(rle), _counts(rle))
    if list(entry) == ["bitmap"]:
        code = check_entry(entry["bitmap"])
        height, width = _size(code)
        counts = _counts(code)
        bits = np.zeros((height, width), bool)
        if bits.size:
            bits = RLE((height, width), counts).window(0, 0, width, height)
        return Bitmap(bits, check_integer(code, "left"), check_integer(code, "top"))
    raise ItemError("outline is of no known kind", f" ({shown(entry)})")


def _loop(value: Any) -> np.ndarray:
    numbers = finite_floats(value)
    if numbers is None or len(numbers) < 6 or len(numbers) % 2:
        raise ItemError("loop of a polygon is not x, y of at least 3 points", f" ({shown(value)})")
    return np.array(numbers).reshape(-1, 2)


def _size(rle: dict[str, Any]) -> tuple[int, int]:
    value = rle.get("size")
    if not isinstance(value, list) or [type(side) for side in value] != [int, int]:
        raise ItemError("size of a mask is not height and width", f" ({shown(value)})")
    height, width = value
    if min(height, width) < 0 or height * width > MAX_PIXELS:
        raise ItemError(f"size of a mask is not within {MAX_PIXELS} pixels", f" ({shown(value)})")
    return height, width


def _counts(rle: dict[str, Any]) -> str | list[int]:
    counts: Any = rle.get("counts")
    is_list = isinstance(counts, list) and set(map(type, counts)) <= {int}
    if not (is_list or isinstance(counts, str)):
        raise ItemError("counts of a mask are neither integers nor text", f" ({shown(counts)})")
    pixels = math.prod(_size(rle))
    try:
        runs = decode_counts(counts)
    except (ValueError, OverflowError):
        raise ItemError("counts of a mask cannot be decoded", f" ({shown(counts)})") from None
    # Each by itself first: the sum of huge ones may overflow to the right number.
    if runs.size and (runs.min() < 0 or runs.max() > pixels):
        raise ItemError("counts of a mask do not add up to its size")
    if int(runs.sum()) != pixels:
        raise ItemError("counts of a mask do not add up to its size")
    return counts


def _box(value: Any, image: ImageRecord) -> Box:
    numbers = finite_floats(value)
    if numbers is None or len(numbers) != 4:
        raise ItemError("box is not four finite numbers", f" ({shown(value)})")
    x1, y1, x2, y2 = numbers
    box = clip_box(x1, y1, x2, y2, image)
    if box != (x1, y1, x2, y2):
        raise ItemError("box reaches out of its picture", f" ({shown(value)})")
    return box


def _read_keypoints(value: Any, count: int) -> np.ndarray | None:
    if value is None:
        return None
    numbers = finite_floats(value)
    if numbers is None or len(numbers) != 3 * count or not set(numbers[2::3]) <= {0.0, 1.0, 2.0}:
        raise ItemError(f"keypoints are not x, y and visibility 0, 1 or 2 of {count} points")
    points = np.array(numbers).reshape(-1, 3)
    # Those that were moved with their picture have more digits.
    small = points.astype(np.float32)
    return small if (small == points).all() else points
