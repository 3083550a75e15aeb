"""From pixels to polygons that enclose exactly these."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from keras_maskrcnn.outlines.geometry import signed_area
from keras_maskrcnn.outlines.polygons import Polygons

if TYPE_CHECKING:
    from keras_maskrcnn.outlines.bitmap import Bitmap


def cell_polygons(bitmap: Bitmap) -> Polygons:
    """Polygons along the edges of a bitmap's pixels, holes included."""
    origin = np.array([bitmap.left, bitmap.top])
    loops = [
        np.array(flat, np.float64).reshape(-1, 2) + origin for flat in pixel_outlines(bitmap.bits)
    ]
    # Walked with the inside on the right, and y down: an outer edge has a positive area.
    has_holes = any(signed_area(loop) < 0 for loop in loops)
    return Polygons.from_loops([loops] if has_holes else [[loop] for loop in loops])


def pixel_outlines(mask: np.ndarray) -> list[list[int]]:
    """Polygons along the pixels' edges.

    Drawn by `pycocotools`, or by any rule that asks for pixel centres, they give the mask back.
    Pixels that touch only at a corner belong to different polygons. Where a hole touches its part's
    outer edge at a corner, one walk may go around both; `rings.pixel_polygons` takes them apart.

    Args:
        mask: bool `[h, w]`.

    Returns:
        One `[x1, y1, x2, y2, ...]` per connected part, corners only, in pixels from the
        picture's top left corner; and one per hole, which runs the other way round.
    """
    # Every border between an inner and an outer pixel, walked with the inside on the right.
    padded = np.pad(mask.astype(bool), 1)
    down = np.diff(padded.astype("int8"), axis=0)  # row y here: between mask rows y - 1 and y
    right = np.diff(padded.astype("int8"), axis=1)
    steps: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for y, x in np.argwhere(down[:, 1:-1] == 1).tolist():
        steps.setdefault((x, y), []).append((1, 0))
    for y, x in np.argwhere(down[:, 1:-1] == -1).tolist():
        steps.setdefault((x + 1, y), []).append((-1, 0))
    for y, x in np.argwhere(right[1:-1] == 1).tolist():
        steps.setdefault((x, y + 1), []).append((0, -1))
    for y, x in np.argwhere(right[1:-1] == -1).tolist():
        steps.setdefault((x, y), []).append((0, 1))

    outlines = []
    # A dictionary's first key is found by walking over all that were deleted before it: a list of
    # them keeps the time in proportion to the length of the borders.
    for position in list(steps):
        if position not in steps:
            continue
        direction = (0, 0)
        corners: list[int] = []
        # As many steps lead to a corner as from it, so the walk ends where it began.
        while position in steps:
            ways = steps[position]
            # Where two pixels touch at a corner, turning right stays with the same pixel.
            turn_right = (-direction[1], direction[0])
            step = turn_right if turn_right in ways else ways[0]
            ways.remove(step)
            if not ways:
                del steps[position]
            if step != direction:
                corners.extend(position)
                direction = step
            position = (position[0] + step[0], position[1] + step[1])
        outlines.append(corners)
    return outlines
