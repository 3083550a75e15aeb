"""Where a picture lies on the ground: from its pixels to coordinates of a reference system.

Two sources are read: the tags of GeoTIFF, and a world file beside the picture, which has a matrix
but names no reference system.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_maskrcnn.images.formats import format_of
from keras_maskrcnn.images.geotiff import read_geotiff
from keras_maskrcnn.images.orientation import stored_to_upright

# A file begins with what tells its format.
_FIRST_BYTES = 16


@dataclass(frozen=True)
class Georeference:
    """From pixels to a coordinate reference system.

    Args:
        matrix: `[2, 3]`, from x, y, 1 in continuous pixels of the upright picture (its top left
            corner is 0, 0, the centre of its first pixel .5, .5) to x (easting, longitude) and y
            (northing, latitude) in units of the reference system. Kept as tuples of floats.
        epsg: code of the reference system; `None` where it is not known, or has none.
        is_projected: whether that is a projected system, in which areas have a meaning; not so of
            degrees, and not known of a world file.

    Raises:
        ValueError: when the matrix has another shape, numbers that are not finite, or no inverse.
    """

    matrix: Any
    epsg: int | None = None
    is_projected: bool = False

    def __post_init__(self) -> None:
        matrix = np.asarray(self.matrix, np.float64)
        object.__setattr__(self, "matrix", tuple(map(tuple, matrix.tolist())))
        if matrix.shape != (2, 3) or not np.isfinite(matrix).all() or self.determinant == 0:
            raise ValueError(
                "matrix must be [2, 3], finite, and have an inverse. "
                f"Received: matrix={matrix.tolist()}"
            )

    @property
    def determinant(self) -> float:
        """Area of a pixel in square units of the reference system; negative where the picture's
        y, which runs downwards, is upwards there, as it is of nearly all."""
        (a, b, _), (d, e, _) = self.matrix
        return float(a * e - b * d)


def read_georeference(path: str | os.PathLike[str]) -> Georeference | None:
    """What a picture file, or a world file beside it, says of its place.

    Of a GeoTIFF, the first page: ModelPixelScaleTag and ModelTiepointTag (the first point) or
    ModelTransformationTag, and the reference system by its EPSG code (OGC GeoTIFF 1.1). Where
    these tags have no matrix, or the file is none, the first that is there of the world files: for
    `a.tif` `a.tfw`, `a.tifw` or `a.wld`; likewise `.jgw` and `.pgw`. Both count the pixels as they
    are stored: where the picture is turned upright on reading, the matrix is turned with it.

    Args:
        path: of a picture.

    Returns:
        `None` where the picture has no place on the ground.

    Raises:
        ValueError: when the picture or the world file cannot be read, or what they say is broken;
            the message names the file.
    """
    picture = Path(path)
    with _naming(picture):
        tags = read_geotiff(picture) if _is_tiff(picture) else None
        if tags is not None and tags.matrix is not None:
            return _of_upright(tags.matrix, tags.stored, tags.epsg, tags.is_projected)
    world = next((file for file in _world_files(picture) if file.is_file()), None)
    if world is None:
        return None
    with _naming(world):
        matrix = _read_world_file(world)
    with _naming(picture):
        stored = _stored(picture) if tags is None else tags.stored
    with _naming(world):
        if tags is None:
            return _of_upright(matrix, stored)
        return _of_upright(matrix, stored, tags.epsg, tags.is_projected)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors of reading name the file."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise ValueError(f"Cannot read the georeference in {path}: {error}") from error


def _is_tiff(path: Path) -> bool:
    with open(path, "rb") as file:
        format = format_of(file.read(_FIRST_BYTES))
    return format is not None and format.name == "TIFF"


def _world_files(picture: Path) -> Iterator[Path]:
    """Where it may lie: the picture's suffix without its middle, or all of it, and a w."""
    suffix = picture.suffix[1:].lower()
    for name in (f"{suffix[:1]}{suffix[-1:]}w", f"{suffix}w", "wld"):
        for spelt in (name, name.upper()):
            yield picture.with_suffix(f".{spelt}")


def _read_world_file(path: Path) -> np.ndarray:
    """`[2, 3]`, for the picture as it is stored."""
    words = path.read_text(encoding="utf-8").split()
    try:
        a, d, b, e, x, y = (float(word) for word in words)
    except ValueError:
        raise ValueError(f"expected six numbers, one on each line. Received: {words[:7]}") from None
    # x and y are of the centre of the first pixel, half a pixel from its corner.
    return np.array([[a, b, x - (a + b) / 2], [d, e, y - (d + e) / 2]])


def _stored(path: Path) -> tuple[int, int, int]:
    """Height, width and orientation of a picture as it is stored."""
    # The data's reader of headers imports from here on its way.
    from keras_maskrcnn.data.picture_files import read_picture_header

    header = read_picture_header(path)
    return header.height, header.width, header.orientation


def _of_upright(
    matrix: np.ndarray,
    stored: tuple[int, int, int],
    epsg: int | None = None,
    is_projected: bool = False,
) -> Georeference:
    """From the matrix of the picture as it is stored."""
    turn = np.vstack([stored_to_upright(*stored), [0, 0, 1]])
    with np.errstate(invalid="ignore"):  # Of numbers that are not finite, which are refused.
        return Georeference(matrix @ np.linalg.inv(turn), epsg, is_projected)
