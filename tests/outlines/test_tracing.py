"""Polygons of masks, drawn again by rules of three projects."""

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask
from scipy.ndimage import gaussian_filter
from skimage import measure

from keras_maskrcnn.ops.paste import paste_crop, paste_masks
from keras_maskrcnn.outlines.tracing import crop_polygons


def mask_polygons(mask, box, size):
    left, top, values = paste_crop(mask, np.asarray(box), size)
    return crop_polygons(values, left, top, size)


def draw(polygons, size):
    """Pixels whose centre lies in one of the polygons, even-odd."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    centres = np.stack([x.ravel(), y.ravel()], axis=1)
    inside = [measure.points_in_poly(centres, polygon) for polygon in polygons]
    return np.any(inside, axis=0).reshape(size)


def draw_as_labelme(polygons, size):
    """LabelMe draws with Pillow."""
    picture = np.zeros(size, bool)
    for polygon in polygons:
        drawn = Image.new("1", size[::-1])
        ImageDraw.Draw(drawn).polygon([tuple(p) for p in polygon], outline=1, fill=1)
        picture |= np.asarray(drawn)
    return picture


def draw_as_coco(polygons, size):
    rles = coco_mask.frPyObjects([p.ravel().tolist() for p in polygons], *size)
    return coco_mask.decode(coco_mask.merge(rles)).astype(bool)


def iou(first, second):
    return (first & second).sum() / (first | second).sum()


def radii():
    y, x = np.mgrid[-1:1:28j, -1:1:28j]
    return np.hypot(x, y).astype("float32")


BLOB = gaussian_filter(np.random.default_rng(3).random((28, 28)), 2).astype("float32")
MASKS = {
    "disc": (1.3 - radii()).clip(0, 1),
    "ring": ((radii() < 0.9) & (radii() > 0.5)).astype("float32"),
    "ring around a disc": ((radii() < 0.3) | ((radii() < 0.95) & (radii() > 0.6))) * np.float32(1),
    "full": np.ones((28, 28), "float32"),
    "parts": (BLOB - BLOB.min()) / (BLOB.max() - BLOB.min()),
}


@pytest.mark.parametrize("shape", MASKS)
@pytest.mark.parametrize("box", [(31.3, 20.8, 239.1, 180.2), (0, 0, 260, 200), (-40, 9, 150, 230)])
def test_polygons_drawn_again_are_the_mask(shape, box):
    size = (200, 260)
    expected = paste_masks(MASKS[shape][None], np.array([box]), size)[0]
    polygons = mask_polygons(MASKS[shape], box, size)
    assert iou(draw(polygons, size), expected) > 0.97
    assert iou(draw_as_labelme(polygons, size), expected) > 0.95
    assert iou(draw_as_coco(polygons, size), expected) > 0.95
    vertices = np.concatenate(polygons)
    assert vertices.min() >= 0 and (vertices <= (260, 200)).all()
    # People are to move them one by one: far fewer than a vertex for every pixel of the outline.
    edge = expected & ~(np.pad(expected, 1)[2:, 1:-1] & np.pad(expected, 1)[1:-1, 2:])
    assert len(vertices) < 0.3 * edge.sum()


@pytest.mark.parametrize("side", [3, 6, 12, 30])
@pytest.mark.parametrize("shape", MASKS)
def test_small_objects_keep_their_pixels(shape, side):
    box, size = (5.2, 6.7, 5.2 + side, 6.7 + side), (50, 60)
    expected = paste_masks(MASKS[shape][None], np.array([box]), size)[0]
    assert iou(draw(mask_polygons(MASKS[shape], box, size), size), expected) > 0.95


def test_outline_of_a_rectangle_by_hand():
    """A full mask falls from 1 to 0 between the centres beside its box's edge: half-way."""
    (polygon,) = mask_polygons(np.ones((28, 28)), (10, 20, 40, 60), (80, 90))
    assert len(polygon) <= 8
    np.testing.assert_allclose(polygon.min(axis=0), (10, 20), atol=1e-5)
    np.testing.assert_allclose(polygon.max(axis=0), (40, 60), atol=1e-5)


def test_hole_is_joined_and_parts_are_apart():
    ring = mask_polygons(MASKS["ring"], (0, 0, 100, 100), (100, 100))
    assert len(ring) == 1
    island = mask_polygons(MASKS["ring around a disc"], (0, 0, 100, 100), (100, 100))
    assert [draw([p], (100, 100))[50, 50] for p in island] == [False, True]


def test_random_values_and_values_on_the_threshold():
    rng = np.random.default_rng(0)
    for steps in (2, 4, 1000):
        mask = (np.round(rng.random((28, 28)) * steps) / steps).astype("float32")
        expected = paste_masks(mask[None], np.array([(3.3, 2.2, 85.1, 78.7)]), (80, 90))[0]
        received = draw(mask_polygons(mask, (3.3, 2.2, 85.1, 78.7), (80, 90)), (80, 90))
        assert iou(received, expected) > 0.95


def test_nothing_to_outline():
    assert mask_polygons(np.full((28, 28), 0.4), (2, 2, 9, 9), (20, 20)) == []
    assert mask_polygons(np.ones((28, 28)), (2, 2, 2, 9), (20, 20)) == []
    assert mask_polygons(np.ones((28, 28)), (4.6, 4.6, 5.2, 5.4), (20, 20)) == []
