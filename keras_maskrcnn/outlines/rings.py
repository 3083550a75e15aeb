"""From pixels to polygons as maps hold them: an outer ring and rings of holes, each simple.

Legend: `V` vertices, `h w` pixels of a crop.
"""

from __future__ import annotations

import numpy as np

from keras_maskrcnn.outlines.cells import pixel_outlines
from keras_maskrcnn.outlines.geometry import signed_area

_Corner = tuple[int, int]


def pixel_polygons(mask: np.ndarray) -> list[list[np.ndarray]]:
    """Polygons along the pixels' edges that enclose exactly the mask.

    Pixels that touch only at a corner belong to different polygons. Rings touch themselves nowhere
    and others at single corners alone, so that the polygons together are a valid geometry as OGC's
    Simple Features define it (06-103r4).

    Args:
        mask: bool `[h, w]`.

    Returns:
        For each connected part its rings, int64 `[V, 2]` x, y of corners alone, in pixels from the
        mask's top left corner; the last is not the first one again. The first ring is the outer
        one, of positive `signed_area`; the others are its holes and run the other way round.
    """
    from scipy import ndimage  # Predicting needs none of it.

    # Pixels are neighbours by their edges, as for `pixel_outlines`.
    labels, count = ndimage.label(mask)
    parts: list[list[np.ndarray]] = [[] for _ in range(count)]
    for outline in pixel_outlines(mask):
        corners = list(zip(outline[::2], outline[1::2], strict=True))
        for ring in map(np.array, _simple_rings(corners)):
            rings = parts[labels[_pixel_on_the_right(ring)] - 1]
            rings.insert(0 if signed_area(ring) > 0 else len(rings), ring)
    return parts


def _simple_rings(corners: list[_Corner]) -> list[list[_Corner]]:
    """Cuts a walk that comes by a corner twice: what lies between is a ring of its own."""
    rings: list[list[_Corner]] = []
    path: list[_Corner] = []
    places: dict[_Corner, int] = {}
    for corner in corners:
        if corner in places:
            ring = path[places[corner] :]
            del path[places[corner] :]
            for left in ring:
                del places[left]
            rings.append(ring)
        places[corner] = len(path)
        path.append(corner)
    return [*rings, path]


def _pixel_on_the_right(ring: np.ndarray) -> tuple[int, int]:
    """Row and column of the pixel beside a ring's first edge, which outlines keep inside."""
    (x, y), (next_x, next_y) = ring[:2].tolist()
    across, down = int(np.sign(next_x - x)), int(np.sign(next_y - y))
    # y runs downwards: on the right of (across, down) is (-down, across). One of the two is 0.
    return y + (across + down - 1) // 2, x + (across - down - 1) // 2
