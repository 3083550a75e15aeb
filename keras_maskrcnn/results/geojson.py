"""Detections as GeoJSON (RFC 7946), which QGIS and GDAL read, and QuPath in pixels.

An object is a Feature. Its geometry is a Polygon or MultiPolygon along the edges of its mask's
pixels, holes as interior rings: a pixel belongs to the mask where its centre lies inside. An object
without a mask, or whose mask has no pixel, is its box; one whose box has no area, nowhere (`null`).
Exterior rings run counter-clockwise and interior ones clockwise, where x runs to the right and y
upwards, whatever the coordinates are.

Its properties:

- `category_name`, `category_id`, `score`;
- `area_pixels`: how many pixels the mask has; where there are no masks, of the box;
- `area_crs`: the same in square units of a projected reference system, such as square metres;
- `classification`, in pixels alone: what QuPath takes for the class.

The member `crs` names the reference system as GeoJSON of 2008 did, which GIS programs still read;
it is left out for EPSG:4326, which RFC 7946 takes for granted, and where no code is known: then
programs assume EPSG:4326 too, and must be told the right one. Coordinates are x before y (longitude
before latitude) for every system.

Legend: `D` objects, `V` vertices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_maskrcnn.images.georeference import Georeference
from keras_maskrcnn.outlines.geometry import move_points
from keras_maskrcnn.outlines.rings import pixel_polygons
from keras_maskrcnn.results import pixels
from keras_maskrcnn.results.conversions import check_category_ids

if TYPE_CHECKING:
    from keras_maskrcnn.results.detections import Detections

# Of each polygon its rings `[V, 2]` in pixels of the picture, the outer one first.
_Polygons = list[list[np.ndarray]]
# Longitude and latitude on WGS 84, the one system of RFC 7946.
_OF_GEOJSON = 4326


def to_geojson(
    found: Detections, georeference: Georeference | None, category_ids: Sequence[int] | None
) -> dict[str, Any]:
    """See `Detections.to_geojson`."""
    if category_ids is None:
        category_ids = range(1, int(found.classes.max(initial=0)) + 2)
    check_category_ids(found, category_ids)
    features = []
    classes, scores = found.classes.tolist(), found.scores.tolist()
    for k, score, (polygons, area) in zip(classes, scores, _shapes(found), strict=True):
        properties: dict[str, Any] = {
            "category_name": found.name_of(k),
            "category_id": int(category_ids[k]),
            "score": score,
            "area_pixels": area,
        }
        if georeference is None:
            properties["classification"] = {"name": properties["category_name"]}
        elif georeference.is_projected:
            properties["area_crs"] = area * abs(georeference.determinant)
        features.append(
            {
                "type": "Feature",
                "geometry": _geometry(polygons, georeference),
                "properties": properties,
            }
        )
    return {"type": "FeatureCollection", **_crs(georeference), "features": features}


def _crs(georeference: Georeference | None) -> dict[str, Any]:
    epsg = None if georeference is None else georeference.epsg
    if epsg in (None, _OF_GEOJSON):
        return {}
    return {"crs": {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{epsg}"}}}


def _shapes(found: Detections) -> Iterator[tuple[_Polygons, float]]:
    """Polygons and area of each object, in pixels; masks are traced one at a time."""
    if not found.has_masks:
        for x1, y1, x2, y2 in found.boxes.tolist():
            polygons = _of_box(x1, y1, x2, y2)
            yield polygons, (x2 - x1) * (y2 - y1) if polygons else 0.0
        return
    for (left, top, values), box in zip(pixels.crops(found), found.boxes.tolist(), strict=True):
        mask = values >= 0.5
        traced = [
            [ring + np.array([left, top]) for ring in rings] for rings in pixel_polygons(mask)
        ]
        yield traced or _of_box(*box), int(np.count_nonzero(mask))


def _of_box(x1: float, y1: float, x2: float, y2: float) -> _Polygons:
    """None where it has no area, or is not finite."""
    if not (np.isfinite([x1, y1, x2, y2]).all() and x2 > x1 and y2 > y1):
        return []
    return [[np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])]]


def _geometry(polygons: _Polygons, georeference: Georeference | None) -> dict[str, Any] | None:
    if not polygons:
        return None
    written = [[_written(ring, georeference) for ring in rings] for rings in polygons]
    if len(written) == 1:
        return {"type": "Polygon", "coordinates": written[0]}
    return {"type": "MultiPolygon", "coordinates": written}


def _written(ring: np.ndarray, georeference: Georeference | None) -> list[list[float]]:
    """A ring in the coordinates of the file, closed."""
    closed = np.concatenate([ring, ring[:1]])
    if georeference is not None:
        closed = move_points(closed, np.array(georeference.matrix))
        if georeference.determinant < 0:  # The matrix mirrors, and so turns the direction around.
            closed = closed[::-1]
    return closed.tolist()
