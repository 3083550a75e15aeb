"""GeoJSON by hand, and by drawing its polygons again where their coordinates lie."""

import json

import numpy as np
import pytest
from scipy import ndimage

from keras_maskrcnn.images.georeference import Georeference
from keras_maskrcnn.outlines import RLE, Bitmap
from keras_maskrcnn.results import Detections

# Half a metre a pixel, north up.
UTM = Georeference([[0.5, 0, 500000], [0, -0.5, 4600000]], 32633, True)
TURNED = Georeference([[0.3, 0.4, 20], [0.8, -0.6, -30]], 3857, True)
UPWARDS = Georeference([[0.25, 0, 7], [0, 0.5, 9]])
DEGREES = Georeference([[1e-5, 0, 11], [0, -1e-5, 48]], 4326)
PLACES = {"pixels": None, "north up": UTM, "turned": TURNED, "upwards": UPWARDS, "deg": DEGREES}


def of_masks(masks, **options):
    """`Detections` of bitmaps that lie in the picture."""
    masks = np.asarray(masks, bool)
    count = len(masks)
    given = {
        "boxes": np.tile([1.0, 2.0, 4.0, 6.0], (count, 1)),
        "classes": np.arange(count) % 2,
        "scores": np.linspace(0.9, 0.5, count),
        "class_names": ("roof", "tree"),
        "outlines": [Bitmap(mask) for mask in masks],
        **options,
    }
    return Detections(mask_probabilities=None, image_size=masks.shape[1:], **given)


def polygons(feature):
    """A list of polygons, each of its rings as arrays; closed rings are opened."""
    geometry = feature["geometry"]
    kind, coordinates = geometry["type"], geometry["coordinates"]
    assert kind in ("Polygon", "MultiPolygon")
    if kind == "MultiPolygon":
        assert len(coordinates) > 1
    parts = [coordinates] if kind == "Polygon" else coordinates
    for rings in parts:
        for ring in rings:
            assert len(ring) >= 5 and ring[0] == ring[-1]
    return [[np.array(ring)[:-1] for ring in rings] for rings in parts]


def area(ring):
    """Positive counter-clockwise, where x runs to the right and y upwards."""
    x, y = (ring - ring[0]).T
    return np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) / 2


def covers(rings, points):
    """Which points `[n, 2]` lie inside, by the even-odd rule."""
    inside = np.zeros(len(points), bool)
    x, y = points.T
    for ring in rings:
        for (x1, y1), (x2, y2) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            if y1 != y2:
                crosses = (y1 <= y) != (y2 <= y)
                inside ^= crosses & (x < x1 + (y - y1) / (y2 - y1) * (x2 - x1))
    return inside


def test_by_hand():
    mask = np.zeros((8, 9), bool)
    mask[2:5, 1:4] = True
    mask[3, 2] = False
    written = of_masks([mask]).to_geojson(UTM)
    assert json.loads(json.dumps(written)) == written
    (feature,) = written.pop("features")
    assert written == {
        "type": "FeatureCollection",
        "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}},
    }
    assert feature["type"] == "Feature"
    assert feature["properties"] == {
        "category_name": "roof",
        "category_id": 1,
        "score": pytest.approx(0.9),
        "area_pixels": 8,
        "area_crs": 2.0,
    }
    ((outer, hole),) = polygons(feature)
    left, top = 500000.5, 4599999.0
    corners = [(left, top), (left, top - 1.5), (left + 1.5, top - 1.5), (left + 1.5, top)]
    assert sorted(map(tuple, outer.tolist())) == sorted(corners)
    assert (area(outer), area(hole)) == (2.25, -0.25)
    assert hole.min(axis=0).tolist() == [500001.0, 4599998.0]


def test_pixels_by_hand():
    mask = np.zeros((8, 9), bool)
    mask[2:5, 1:4] = True
    written = of_masks([mask]).to_geojson()
    (feature,) = written["features"]
    assert "crs" not in written
    assert feature["geometry"] == {
        "type": "Polygon",
        "coordinates": [[[1, 2], [4, 2], [4, 5], [1, 5], [1, 2]]],
    }
    assert feature["properties"]["classification"] == {"name": "roof"}
    assert "area_crs" not in feature["properties"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("seed", range(4))
def test_drawn_again_is_the_mask(place, seed):
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=(5, 23, 31)), (0, *[rng.choice([0, 1.2])] * 2))
    masks = noise > rng.uniform(-0.1, 0.1)
    georeference = PLACES[place]
    matrix = np.eye(3)[:2] if georeference is None else np.array(georeference.matrix)
    y, x = np.mgrid[:23, :31] + 0.5
    centres = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3) @ matrix.T
    pixel = abs(np.linalg.det(matrix[:, :2]))
    features = of_masks(masks).to_geojson(georeference)["features"]
    for mask, feature in zip(masks, features, strict=True):
        parts = polygons(feature)
        inside = np.array([covers(rings, centres) for rings in parts])
        assert inside.sum(axis=0).max() == 1
        np.testing.assert_array_equal(inside.any(axis=0).reshape(mask.shape), mask)
        for outer, *holes in parts:
            assert area(outer) > 0
            assert all(area(hole) < 0 for hole in holes)
        total = sum(area(ring) for rings in parts for ring in rings)
        assert total == pytest.approx(mask.sum() * pixel)
        assert feature["properties"]["area_pixels"] == mask.sum()
        assert feature["properties"].get("area_crs", total) == pytest.approx(total)
    assert any(len(rings) > 1 for feature in features for rings in polygons(feature))


@pytest.mark.parametrize(
    ("georeference", "crs", "has_area"),
    [(UTM, 32633, True), (DEGREES, None, False), (UPWARDS, None, False), (None, None, False)],
)
def test_reference_system(georeference, crs, has_area):
    """4326 is that of GeoJSON; areas in degrees, or of who knows what, mean nothing."""
    written = of_masks(np.ones((1, 3, 3))).to_geojson(georeference)
    assert written.get("crs", {}).get("properties", {}).get("name") == (
        crs and f"urn:ogc:def:crs:EPSG::{crs}"
    )
    assert ("area_crs" in written["features"][0]["properties"]) == has_area


@pytest.mark.parametrize("place", PLACES)
def test_probabilities_and_outlines_give_the_same(place):
    """As `predict` gives masks without tiles, and with them."""
    rng = np.random.default_rng(5)
    common = {"image_size": (40, 50), "class_names": ("roof", "tree")}
    boxes = np.float32([[3, 4, 23, 24], [10.4, 8, 30.2, 36], [-4, -3, 9, 9], [44.5, 30.2, 60, 48]])
    given = (boxes, [0, 1, 0, 1], [0.9, 0.8, 0.7, 0.95])
    plain = Detections(*given, rng.random((4, 14, 14)), **common)
    outlines = [RLE(rle["size"], rle["counts"]) for rle in plain.rles()]
    outlined = Detections(*given, None, outlines=outlines, **common)
    written = plain.to_geojson(PLACES[place], (7, 9))
    assert written == outlined.to_geojson(PLACES[place], (7, 9))
    for mask, feature in zip(plain.masks, written["features"], strict=True):
        assert feature["properties"]["area_pixels"] == mask.sum() > 0
    assert [f["properties"]["category_id"] for f in written["features"]] == [7, 9, 7, 9]


def test_no_stack_of_pictures():
    """A picture of which not even one mask would fit into memory as a whole."""
    side = 2_000_000
    spots = [Bitmap(np.ones((2, 3), bool), side - 5, side - 4), Bitmap(np.ones((1, 1), bool))]
    found = Detections(
        np.array([[side - 5, side - 4, side - 2, side - 2], [0, 0, 1, 1]]),
        [0, 0],
        [0.9, 0.8],
        None,
        (side, side),
        outlines=spots,
    )
    far, near = (polygons(feature)[0][0] for feature in found.to_geojson()["features"])
    assert far.min(axis=0).tolist() == [side - 5, side - 4]
    assert far.max(axis=0).tolist() == [side - 2, side - 2]
    assert near.max() == 1


def test_boxes():
    """Of a model without masks; of a mask without pixels; and of no place at all."""
    boxes = [[1, 2, 4, 6], [3, 3, 3, 8], [0, 0, np.nan, 1]]
    found = Detections(boxes, [0, 1, 2], [0.9, 0.8, 0.7], None, (8, 9))
    first, *rest = found.to_geojson(UTM)["features"]
    assert [feature["geometry"] for feature in rest] == [None, None]
    assert [feature["properties"]["area_pixels"] for feature in rest] == [0, 0]
    ((ring,),) = polygons(first)
    assert ring.min(axis=0).tolist() == [500000.5, 4599997.0]
    assert (area(ring), first["properties"]["area_crs"]) == (3, 3)
    assert first["properties"]["area_pixels"] == 12
    assert first["properties"]["category_name"] == "class_0"
    (empty,) = of_masks(np.zeros((1, 8, 9))).to_geojson()["features"]
    assert empty["geometry"]["coordinates"] == [[[1, 2], [4, 2], [4, 6], [1, 6], [1, 2]]]
    assert empty["properties"]["area_pixels"] == 0
    assert of_masks(np.zeros((0, 8, 9))).to_geojson() == {
        "type": "FeatureCollection",
        "features": [],
    }


def test_refusal():
    with pytest.raises(ValueError, match="category_ids must hold an id for class 1"):
        of_masks(np.ones((2, 3, 3))).to_geojson(category_ids=(5,))
