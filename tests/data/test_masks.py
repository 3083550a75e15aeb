"""Masks drawn into their boxes, by hand and against the COCO tools."""

import tracemalloc

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from keras_maskrcnn.data import load_coco
from keras_maskrcnn.outlines import MASK_SIDE, Polygons, decode_counts, outline_from_coco

pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # pycocotools


def draw_mask(segmentation, box, side=MASK_SIDE):
    return outline_from_coco(segmentation).draw(box, side)


def paste(mask, box, height, width):
    """The mask in the picture: bilinear at pixel centres, zero outside, threshold one half."""
    x1, y1, x2, y2 = box
    side = len(mask)

    def weights(count, low, high):
        place = (np.arange(count) + 0.5 - low) / (high - low) * side - 0.5
        distance = np.abs(np.clip(place, -1, side)[:, None] - np.arange(side))
        return np.maximum(1 - distance, 0)

    return weights(height, y1, y2) @ (mask / 255) @ weights(width, x1, x2).T >= 0.5


def test_square_fills_its_box():
    mask = draw_mask([[2, 3, 6, 3, 6, 9, 2, 9]], (2, 3, 6, 9), 5)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, np.full((5, 5), 255))


def test_triangle_by_hand():
    # Half of a 2x2 square below its diagonal: full, half and empty cells of one pixel each.
    mask = draw_mask([[0, 0, 2, 2, 0, 2]], (0, 0, 2, 2), 2)
    np.testing.assert_array_equal(mask, [[128, 0], [255, 128]])


def test_cell_borders_that_are_no_pixel_borders():
    # A bar 1 <= x <= 2 in a box 0.5 .. 2.5 with two cells: each half covered.
    mask = draw_mask([[1, 0, 2, 0, 2, 4, 1, 4]], (0.5, 0, 2.5, 4), 2)
    np.testing.assert_array_equal(mask, [[128, 128], [128, 128]])
    rle = {"size": [4, 3], "counts": [4, 4, 4]}
    np.testing.assert_array_equal(draw_mask(rle, (0.5, 0, 2.5, 4), 2), mask)


def test_polygon_is_cut_at_its_box():
    # The polygon reaches far over every border of the box; a tip covers the right half.
    square = [[-50, -70, 90, -70, 90, 60, -50, 60]]
    np.testing.assert_array_equal(draw_mask(square, (3, 4, 5, 8), 3), np.full((3, 3), 255))
    right = [[4, -100, 90, -100, 90, 60, 4, 60]]
    np.testing.assert_array_equal(draw_mask(right, (3, 4, 5, 8), 2), [[0, 255], [0, 255]])


def test_parts_unite_and_crossings_are_even_odd():
    parts = [[0, 0, 2, 0, 2, 2, 0, 2], [1, 0, 3, 0, 3, 2, 1, 2]]
    np.testing.assert_array_equal(draw_mask(parts, (0, 0, 4, 2), 4)[0], [255, 255, 255, 0])
    # One outline that runs round the square 0..3 and then, the same way, round 1..2: a hole.
    hole = [[0, 0, 3, 0, 3, 3, 0, 3, 0, 0, 1, 1, 2, 1, 2, 2, 1, 2, 1, 1]]
    mask = draw_mask(hole, (0, 0, 3, 3), 3)
    np.testing.assert_array_equal(mask, [[255, 255, 255], [255, 0, 255], [255, 255, 255]])
    bow = [[0, 0, 2, 2, 2, 0, 0, 2]]
    np.testing.assert_array_equal(draw_mask(bow, (0, 0, 2, 2), 2), np.full((2, 2), 128))


@pytest.mark.parametrize("reverse", [False, True])
def test_area_is_exact(reverse):
    rng = np.random.default_rng(3)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 40))
    radius = rng.uniform(4, 9, 40)
    x, y = 10 + radius * np.cos(angle), 12 + radius * np.sin(angle)
    area = 0.5 * abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))
    points = np.stack([x, y], 1)[:: -1 if reverse else 1]
    mask = draw_mask([points.ravel().tolist()], (0.3, 1.7, 21.2, 24.1))
    drawn = mask.mean() / 255 * (21.2 - 0.3) * (24.1 - 1.7)
    assert drawn == pytest.approx(area, rel=1e-4)


def test_memory_does_not_grow_with_the_polygon():
    # A comb of 20,000 teeth as long as the box: at x of 0..10 it covers 1 - x / 10.
    y = np.linspace(0, 10, 40_001)
    x = np.where(np.arange(len(y)) % 2, 10.0, 0.0)
    comb = np.stack([x, y], 1).ravel().tolist()
    tracemalloc.start()
    mask = draw_mask([comb], (0, 0, 10, 10))
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()
    expected = 255 * (1 - (np.arange(112) + 0.5) / 112)
    np.testing.assert_allclose(mask, np.tile(expected, (112, 1)), atol=1.5)


def test_one_pixel_objects():
    polygon = [[7, 5, 8, 5, 8, 6, 7, 6]]
    rle = coco_mask.merge(coco_mask.frPyObjects(polygon, 9, 12))
    expected = np.zeros((9, 12), bool)
    expected[5, 7] = True
    for outline in (polygon, rle):
        mask = draw_mask(outline, (7, 5, 8, 6))
        np.testing.assert_array_equal(mask, np.full((112, 112), 255))
        np.testing.assert_array_equal(paste(mask, (7, 5, 8, 6), 9, 12), expected)


def test_rle_with_runs_over_columns():
    picture = np.zeros((5, 7), np.uint8)
    picture[:, 2:4] = 1
    picture[3:, 4] = 1
    picture[0, 6] = 1
    rle = coco_mask.encode(np.asfortranarray(picture))
    mask = draw_mask(rle, (2, 0, 7, 5), 5)
    np.testing.assert_array_equal(mask, picture[:, 2:] * 255)
    np.testing.assert_array_equal(draw_mask(rle, (3, 2, 5, 4), 2), [[255, 0], [255, 255]])


def test_random_rle_averages_pixels():
    rng = np.random.default_rng(5)
    picture = (rng.random((23, 31)) < 0.4).astype(np.uint8)
    rle = coco_mask.encode(np.asfortranarray(picture))
    # 4 cells per 3 pixels: repeat each pixel 4 times, then average 3 by 3.
    fine = np.kron(picture[2:20, 5:23], np.ones((4, 4)))
    expected = fine.reshape(24, 3, 24, 3).mean((1, 3))
    np.testing.assert_allclose(draw_mask(rle, (5, 2, 23, 20), 24) / 255, expected, atol=0.5 / 255)


def test_decode_counts_against_the_coco_tools():
    rng = np.random.default_rng(7)
    for share in (0.0, 0.001, 0.02, 0.5, 1.0):
        picture = np.asfortranarray(rng.random((300, 270)) < share).astype(np.uint8)
        rle = coco_mask.encode(np.asfortranarray(picture))
        flat = picture.ravel("F").astype(int)
        changes = np.flatnonzero(np.diff(flat, prepend=0))
        expected = np.diff(np.concatenate([[0], changes, [flat.size]]))
        np.testing.assert_array_equal(decode_counts(rle["counts"]), expected)
        np.testing.assert_array_equal(decode_counts(rle["counts"].decode()), expected)


@pytest.mark.parametrize("text", ["0o", "!!", "é"])
def test_broken_counts(text):
    with pytest.raises(ValueError, match="compressed RLE"):
        decode_counts(text)


@pytest.mark.parametrize(
    ("annotations", "images", "lowest", "mean"),
    [
        ("nuclei/instances_val.json", "nuclei/images", 1.0, 1.0),
        ("fruits_nuts/instances_val.json", "fruits_nuts/images", 0.99, 0.995),
        ("coco_ccby/annotations/instances_val2017.json", "coco_ccby/val2017", 0.9, 0.985),
    ],
)
def test_pasted_back_equals_the_full_mask(shared, annotations, images, lowest, mean):
    # RLE is exact. For polygons the COCO tools round outlines outwards, up to half a pixel, which
    # weighs most in objects of a few dozen pixels.
    data = load_coco(shared / "data" / annotations, shared / "data" / images)
    overlaps = []
    for record in data.records[:8]:
        size = record.height, record.width
        for instance in record.objects:
            rle = instance.outline.to_coco(*size)
            if isinstance(instance.outline, Polygons):
                rle = coco_mask.merge(coco_mask.frPyObjects(rle, *size))
            full = coco_mask.decode(rle).astype(bool)
            ours = paste(instance.outline.draw(instance.box), instance.box, *size)
            overlaps.append((full & ours).sum() / (full | ours).sum())
    assert min(overlaps) >= lowest
    assert np.mean(overlaps) >= mean
