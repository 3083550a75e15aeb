"""An object's outline in what formats can hold: polygons, one polygon, or a cropped mask."""

from __future__ import annotations

import numpy as np

from keras_maskrcnn.data.formats.problems import ItemError, Problems
from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.outlines import RLE, Bitmap, Polygons
from keras_maskrcnn.outlines.cells import cell_polygons
from keras_maskrcnn.outlines.geometry import signed_area

# As much as parts may overlap, of their area, before one polygon of them would have holes there.
_OVERLAP = 1e-6


def region_of(
    instance: Instance, image: ImageRecord, item: str, lost: Problems
) -> list[list[float]] | Bitmap | None:
    """What an object covers.

    Returns:
        Polygons `[x, y, x, y, ...]`, whose union it is; or a mask, cropped to what is set; or None
        where its box is all that is known, or no pixel of its mask is set.
    """
    bitmap = mask_of(instance, image)
    if bitmap is not None:
        return bitmap if bitmap.bits.size else None
    if instance.outline is None:
        return None
    outline = instance.outline
    if isinstance(outline, Polygons) and any(len(group) > 1 for group in outline.groups):
        lost.add(item, ItemError("holes are joined to their outline by bridges of no width"))
        outline = Polygons.from_loops([_directed(group) for group in outline.groups])
    polygons = outline.to_coco(image.height, image.width)
    return polygons if isinstance(polygons, list) else None


def mask_of(instance: Instance, image: ImageRecord) -> Bitmap | None:
    """The mask of an object whose outline is one, cropped to what is set; else None."""
    if instance.outline is None or isinstance(instance.outline, Polygons):
        return None
    region = instance.outline.to_coco(image.height, image.width)
    return RLE(region["size"], region["counts"]).bitmap() if isinstance(region, dict) else None


def one_polygon(
    instance: Instance, image: ImageRecord, item: str, lost: Problems
) -> list[float] | None:
    """An object as one polygon `[x, y, x, y, ...]` within its picture, drawn by the even-odd rule.

    Parts and holes are joined by bridges of no width. A mask becomes the polygon along its pixels'
    edges, and so do parts that overlap: where two do, the even-odd rule makes a hole.

    Returns:
        The polygon; None where the object has no outline, or nothing of it within the picture.
    """
    outline = instance.outline
    if outline is None:
        return None
    height, width = image.height, image.width
    x1, y1, x2, y2 = outline.bounds()
    if min(x1, y1) < 0 or x2 > width or y2 > height:
        outline = outline.crop((0, 0, width, height))
        if outline is None:
            return None
        lost.add(item, ItemError("outline is cut where it leaves its picture"))
    region = outline.to_coco(height, width)
    reason = ""
    if isinstance(region, dict):
        reason = "mask is traced along its pixels' edges"
    else:
        polygons = outline if isinstance(outline, Polygons) else Polygons(region)
        if len(polygons.groups) > 1 and _overlap(polygons):
            reason = "parts that overlap are drawn, and traced along the pixels' edges"
    if reason:
        lost.add(item, ItemError(reason))
        polygons = cell_polygons(outline.to_rle(height, width).bitmap())
    loops = [loop for group in polygons.groups for loop in group]
    if not loops:
        return None
    if len(loops) > 1:
        lost.add(item, ItemError("parts and holes are joined by bridges of no width"))
    return Polygons.from_loops([_directed(loops)]).to_coco(height, width)[0]


def _overlap(polygons: Polygons) -> bool:
    parts = sum(Polygons.from_loops([group]).area() for group in polygons.groups)
    return parts - polygons.area() > _OVERLAP * parts


def _directed(loops: list[np.ndarray]) -> list[np.ndarray]:
    """Loops of which holes run the other way round, so that tools that fill by the non-zero rule
    leave them empty too."""
    if len(loops) < 2:
        return loops
    result = []
    for loop in loops:
        depth = sum(_is_inside(loop[0], other) for other in loops if other is not loop)
        is_right = (signed_area(loop) > 0) == (depth % 2 == 0)
        result.append(loop if is_right else loop[::-1])
    return result


def _is_inside(point: np.ndarray, loop: np.ndarray) -> bool:
    """By the edges that a ray to the right crosses."""
    ends = np.roll(loop, -1, axis=0)
    crossing = (loop[:, 1] > point[1]) != (ends[:, 1] > point[1])
    start, end = loop[crossing], ends[crossing]
    time = (point[1] - start[:, 1]) / (end[:, 1] - start[:, 1])
    return bool(np.sum(start[:, 0] + time * (end[:, 0] - start[:, 0]) > point[0]) % 2)


def visible_keypoints(instance: Instance) -> list[tuple[int, float, float, int]]:
    """The keypoints that are labelled: number, x, y and visibility 1 or 2."""
    points = [] if instance.keypoints is None else instance.keypoints.tolist()
    return [(j, x, y, int(seen)) for j, (x, y, seen) in enumerate(points) if seen > 0]


def leave_out(
    instance: Instance,
    item: str,
    lost: Problems,
    *,
    keypoints: bool = True,
    attributes: tuple[str, ...] = (),
) -> bool:
    """Notes what of an object most formats cannot hold; whether it is left out altogether.

    Args:
        instance: the object.
        item: its name.
        lost: receives the notes.
        keypoints: whether keypoints are lost.
        attributes: the names of those that are lost.
    """
    if instance.is_crowd:
        lost.add(item, ItemError("crowd region is left out"))
        return True
    if keypoints and visible_keypoints(instance):
        lost.add(item, ItemError("keypoints are left out"))
    for name in attributes:
        lost.add(item, ItemError(f"attribute {name!r} is left out"))
    return False
