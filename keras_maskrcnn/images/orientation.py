"""The one rule of EXIF's orientation: a picture is what a viewer shows, its stored pixels turned.

Annotation tools show photographs upright, browsers and phones do too; so does all of this package:
reading, training, prediction, exported models and the server. Annotations that count the pixels as
they are stored are turned with the picture, by `stored_to_upright`.
"""

from __future__ import annotations

import numpy as np

# From the stored picture to the upright one: whether x and y are exchanged, then whether the
# columns and then whether the rows are taken in reverse (TIFF 6.0, tag 274).
_TURNS = {
    1: (False, False, False),
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}


def exchanges_sides(orientation: int) -> bool:
    """Whether the upright picture is as high as the stored one is wide."""
    return _TURNS[orientation][0]


def upright_size(height: int, width: int, orientation: int) -> tuple[int, int]:
    """Height and width of the upright picture, from those of the stored one."""
    return (width, height) if exchanges_sides(orientation) else (height, width)


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turns a picture as it is stored to the way it is to be looked at.

    Args:
        pixels: `[H, W, ...]`.
        orientation: EXIF's, 1 (as stored) to 8.
    """
    exchanges, mirrors, flips = _TURNS[orientation]
    if exchanges:
        pixels = pixels.swapaxes(0, 1)
    if flips:
        pixels = pixels[::-1]
    if mirrors:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def stored_to_upright(height: int, width: int, orientation: int) -> np.ndarray:
    """Where points of the stored picture lie in the upright one.

    Args:
        height, width: of the stored picture.
        orientation: EXIF's, 1 (as stored) to 8.

    Returns:
        float64 `[2, 3]`, from x, y, 1 to x, y, in continuous pixels.
    """
    exchanges, mirrors, flips = _TURNS[orientation]
    matrix = np.eye(2, 3)
    if exchanges:
        matrix[:, :2] = matrix[::-1, :2]
    upright_height, upright_width = upright_size(height, width, orientation)
    if mirrors:
        matrix[0] = -matrix[0]
        matrix[0, 2] = upright_width
    if flips:
        matrix[1] = -matrix[1]
        matrix[1, 2] = upright_height
    return matrix
