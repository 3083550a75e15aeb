"""What a GeoTIFF file says of the place of its pixels (OGC GeoTIFF 1.1, 19-008r4)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

_PIXEL_SCALE, _TIEPOINT, _TRANSFORMATION, _KEYS = 33550, 33922, 34264, 34735
_ORIENTATION, _UPRIGHT = 274, 1
# Keys, and what they may say.
_MODEL_TYPE, _PROJECTED, _GEOGRAPHIC, _GEOCENTRIC = 1024, 1, 2, 3
_RASTER_TYPE, _PIXEL_IS_POINT = 1025, 2
_GEODETIC_CRS, _PROJECTED_CRS = 2048, 3072
# Codes in this range are EPSG's. 0 is undefined, 32767 user-defined, and those above are private.
_EPSG_CODES = range(1024, 32767)


@dataclass(frozen=True)
class GeoTiff:
    """The first page of a file.

    Args:
        matrix: float64 `[2, 3]`, from x, y, 1 in continuous pixels of the picture as it is stored
            to the coordinates of its reference system; `None` where the file does not tell.
        epsg: code of the reference system; `None` where it has none.
        is_projected: whether the reference system is a projected one.
        stored: height and width of the picture as it is stored, in pixels, and EXIF's orientation,
            1 (as stored) to 8.
    """

    matrix: np.ndarray | None
    epsg: int | None
    is_projected: bool
    stored: tuple[int, int, int]


def read_geotiff(path: str | os.PathLike[str]) -> GeoTiff:
    """Reads the tags of a TIFF file, and no pixels.

    Args:
        path: of a TIFF file, with these tags or without.

    Raises:
        ValueError: when it cannot be read, its tags are broken, or it has ground control points in
            place of a matrix.
    """
    # Needed for this format alone.
    from tifffile import TiffFile, TiffFileError

    try:
        with TiffFile(os.fspath(path)) as file:
            page: Any = file.pages[0].aspage()
            keys = _geo_keys(_numbers(page, _KEYS))
            matrix = _matrix(page)
            size = int(page.imagelength), int(page.imagewidth)
            orientation = page.tags.valueof(_ORIENTATION, default=_UPRIGHT)
    except (TiffFileError, IndexError, OSError) as error:
        raise ValueError(str(error)) from error
    if matrix is not None and keys.get(_RASTER_TYPE) == _PIXEL_IS_POINT:
        # There (0, 0) is the centre of the first pixel, half a pixel from its corner.
        matrix[:, 2] -= matrix[:, :2].sum(axis=1) / 2
    model = keys.get(_MODEL_TYPE)
    is_projected = model == _PROJECTED or (
        model not in (_GEOGRAPHIC, _GEOCENTRIC) and _PROJECTED_CRS in keys
    )
    code = keys.get(_PROJECTED_CRS if is_projected else _GEODETIC_CRS)
    return GeoTiff(
        matrix=matrix,
        epsg=code if code in _EPSG_CODES else None,
        is_projected=is_projected,
        # An orientation that is none is understood as the reader of pictures does.
        stored=(*size, orientation if orientation in range(1, 9) else _UPRIGHT),
    )


def _numbers(page: Any, tag: int) -> np.ndarray | None:
    """All values of a tag, float64, which holds the 16 bits of keys as well."""
    value = page.tags.valueof(tag)
    try:
        return None if value is None else np.array(value, np.float64).reshape(-1)
    except (ValueError, TypeError):
        raise ValueError(f"expected numbers in tag {tag}. Received: {value!r:.60}") from None


def _geo_keys(directory: np.ndarray | None) -> dict[int, int]:
    """The keys whose value stands in the directory itself, as all do that are read here."""
    if directory is None:
        return {}
    numbers = directory.astype(int).tolist()
    count = numbers[3] if len(numbers) > 3 else -1
    if not 0 <= count <= len(numbers) // 4 - 1:
        raise ValueError(
            "expected a GeoKeyDirectoryTag of four numbers and four for each of its keys. "
            f"Received: {len(numbers)} numbers for {max(count, 0)} keys"
        )
    entries = np.reshape(numbers[4 : 4 + 4 * count], (-1, 4)).tolist()
    return {key: value for key, location, _, value in entries if location == 0}


def _matrix(page: Any) -> np.ndarray | None:
    """From raster space to model space, before what PixelIsPoint means."""
    scale, tie = _numbers(page, _PIXEL_SCALE), _numbers(page, _TIEPOINT)
    whole = _numbers(page, _TRANSFORMATION)
    if scale is not None:
        if len(scale) < 2 or not (scale[:2] > 0).all():
            raise ValueError(
                "expected a ModelPixelScaleTag of two or three numbers, those of x and y above 0. "
                f"Received: {scale.tolist()}"
            )
        if tie is None or len(tie) < 6:
            raise ValueError(
                "expected a ModelTiepointTag of six numbers beside the ModelPixelScaleTag. "
                f"Received: {None if tie is None else tie.tolist()}"
            )
        # Rows of a picture run downwards, northings upwards.
        (column, row), (x, y) = tie[:2], tie[3:5]
        x_scale, y_scale = scale[:2]
        return np.array([[x_scale, 0, x - column * x_scale], [0, -y_scale, y + row * y_scale]])
    if whole is not None:
        if len(whole) != 16:
            raise ValueError(
                f"expected a ModelTransformationTag of 16 numbers. Received: {len(whole)} numbers"
            )
        # Of a 4 x 4 matrix for x, y, z, 1; a picture's z is 0.
        return whole.reshape(4, 4)[:2][:, [0, 1, 3]]
    if tie is not None:
        raise ValueError(
            "expected an affine matrix; the picture has ground control points alone, between which "
            "it must be warped first, such as by gdalwarp. Received: a ModelTiepointTag of "
            f"{len(tie) // 6} points without ModelPixelScaleTag"
        )
    return None
