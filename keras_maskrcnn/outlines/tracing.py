"""From a mask to polygons that people can edit.

Legend: `M` mask side, `V` vertices.
"""

from __future__ import annotations

import numpy as np

from keras_maskrcnn.optional import needed_for
from keras_maskrcnn.outlines.geometry import signed_area

with needed_for("an outline of a mask", "scikit-image"):
    from skimage import measure

# Leaving out vertices may move an outline by this part of the object's area over its outline's
# length, so that at most this part of the area changes hands; and never by more than a pixel.
_AREA_PART = 0.04
_PIXELS = 1.0


def crop_polygons(
    values: np.ndarray, left: int, top: int, image_size: tuple[int, int]
) -> list[np.ndarray]:
    """Outlines of one object, as few vertices as keep its shape.

    The outline runs where the probability is one half, between pixel centres. A hole is joined to
    the outline around it by a slit without width, which any rule of filling draws as a hole.

    Args:
        values: float32 `[ch, cw]` probabilities of a crop's pixels; 0 and 1 of a mask.
        left, top: the picture's pixel at which the crop starts.
        image_size: `(h, w)` of the picture.

    Returns:
        For each separate part, the largest first, float64 `[V, 2]` x, y in continuous pixels of the
        picture. The last vertex is not the first one again. None where no pixel reaches one half.
    """
    if not values.size or values.max() < 0.5:
        return []
    # A blank rim closes the outlines of what touches the crop's edge. A value on the threshold
    # itself belongs to the object, and the outline must pass on its far side.
    values = np.pad(np.where(values == 0.5, np.nextafter(np.float32(0.5), 1), values), 1)
    contours = [c[:-1, ::-1] for c in measure.find_contours(values, 0.5, fully_connected="high")]
    # From indices of the rimmed crop to pixels: the centre of the first pixel lies at one half.
    origin = np.array([left - 0.5, top - 0.5])
    contours = [c + origin for c in contours]
    areas = [signed_area(c) for c in contours]
    length = sum(np.hypot(*(c - np.roll(c, 1, axis=0)).T).sum() for c in contours)
    # Outlines and holes run in opposite directions; the one farthest out is an outline.
    outward = np.sign(areas[int(np.argmax(np.abs(areas)))])
    tolerance = min(_PIXELS, _AREA_PART * abs(sum(areas)) / length)
    parts = {i: c for i, c in enumerate(contours) if areas[i] * outward > 0}
    polygons = {i: _simplify(c, tolerance) for i, c in parts.items()}
    for i, hole in enumerate(contours):
        if i in parts:
            continue
        around = [k for k, c in parts.items() if measure.points_in_poly(hole[:1], c)[0]]
        if around:  # Else it has no area, and neither side.
            owner = min(around, key=lambda k: abs(areas[k]))
            polygons[owner] = _join(polygons[owner], _simplify(hole, tolerance))
    largest_first = sorted(polygons, key=lambda k: -abs(areas[k]))
    height, width = image_size
    return [np.clip(polygons[k], 0, (width, height)) for k in largest_first]


def _simplify(points: np.ndarray, tolerance: float) -> np.ndarray:
    """Two halves, cut at vertices far apart: a closed line has no ends to start from."""
    far = int(np.argmax(((points - points[0]) ** 2).sum(axis=1)))
    closed = np.concatenate([points, points[:1]])
    halves = [
        measure.approximate_polygon(half, tolerance) for half in (closed[: far + 1], closed[far:])
    ]
    simple = np.concatenate([halves[0][:-1], halves[1][:-1]])
    return simple if len(simple) > 2 else points


def _join(outline: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Goes from the outline to the hole at their nearest vertices, around it, and back."""
    squares = ((outline[:, None] - hole[None]) ** 2).sum(axis=-1)
    i, j = np.unravel_index(int(np.argmin(squares)), squares.shape)
    around = np.concatenate([hole[j:], hole[: j + 1]])
    return np.concatenate([outline[: i + 1], around, outline[i:]])
