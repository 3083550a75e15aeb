"""What every kind of outline can do, against counting the points of a fine grid."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from scipy import ndimage
from skimage import measure

from keras_maskrcnn.outlines import RLE, Bitmap, Polygons, outline_from_coco
from keras_maskrcnn.outlines.cells import cell_polygons
from keras_maskrcnn.outlines.turned import Turned

pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # pycocotools
HEIGHT, WIDTH = 34, 40
FINE = 8


def blob(seed):
    """A mask of several parts, some with holes."""
    noise = np.random.default_rng(seed).normal(size=(HEIGHT, WIDTH))
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[4:30, 3:36] = ndimage.gaussian_filter(noise, 2)[4:30, 3:36] > 0.02
    mask[10:14, 20:25] = True
    mask[11, 21:23] = False
    return mask


def runs(mask):
    flat = mask.ravel("F").astype(int)
    changes = np.flatnonzero(np.diff(flat, prepend=0))
    return np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()


def text(mask):
    return coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode()


def mirrored(mask):
    matrix = [[-1, 0, WIDTH], [0, 1, 0]]
    return Turned(RLE(mask.shape, runs(mask[:, ::-1])), matrix)


# Kinds that hold the pixels of a mask, each made of one.
KINDS = {
    "polygons": lambda mask: cell_polygons(Bitmap(mask)),
    "run lengths": lambda mask: RLE(mask.shape, runs(mask)),
    "compressed run lengths": lambda mask: RLE(mask.shape, text(mask)),
    "bits": Bitmap,
    "more bits than the picture": lambda mask: Bitmap(np.pad(mask, ((3, 1), (2, 5))), -2, -3),
    "turned run lengths": mirrored,
}


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


def fine_grid(height, width):
    """Points of a grid of `FINE` by `FINE` per pixel: `[n, 2]` x, y."""
    y, x = (np.mgrid[: height * FINE, : width * FINE] + 0.5) / FINE
    return np.stack([x.ravel(), y.ravel()], axis=1)


def in_mask(points, mask):
    x, y = np.floor(points).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < mask.shape[1]) & (y < mask.shape[0])
    inside[inside] = mask[y[inside], x[inside]]
    return inside


def in_polygons(points, polygons):
    """Even-odd within a polygon, their union."""
    inside = [measure.points_in_poly(points, np.reshape(p, (-1, 2))) for p in polygons]
    return np.any(inside, axis=0)


def draw_fine(outline, side):
    return outline.draw((0, 0, side, side), side * FINE) >= 128


def overlap(a, b):
    return (a & b).sum() / max(1, (a | b).sum())


def inverse(points, matrix):
    whole = np.vstack([matrix, [0, 0, 1]]) if len(matrix) == 2 else np.asarray(matrix)
    moved = np.column_stack([points, np.ones(len(points))]) @ np.linalg.inv(whole).T
    return moved[:, :2] / moved[:, 2:]


def random_matrix(rng, name, side=40):
    """Moves about the middle, so that most stays in sight."""
    angle = rng.uniform(0, 2 * np.pi)
    cos, sin = np.cos(angle), np.sin(angle)
    linear = {
        "flip": [[-1, 0, 0], [0, 1, 0], [0, 0, 1]],
        "vertical flip": [[1, 0, 0], [0, -1, 0], [0, 0, 1]],
        "quarter turn": [[0, -1, 0], [1, 0, 0], [0, 0, 1]],
        "transposition": [[0, 1, 0], [1, 0, 0], [0, 0, 1]],
        "shift": [[1, 0, rng.uniform(-9, 9)], [0, 1, rng.uniform(-9, 9)], [0, 0, 1]],
        "scale": np.diag([rng.uniform(0.6, 1.7), rng.uniform(0.6, 1.7), 1]),
        "rotation": [[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]],
        "shear": [[1, rng.uniform(-0.5, 0.5), 0], [rng.uniform(-0.5, 0.5), 1, 0], [0, 0, 1]],
        "perspective": [[1, 0.1, 0], [0.05, 1, 0], [*rng.uniform(-0.008, 0.008, 2), 1]],
    }[name]
    middle = np.array([[1, 0, side // 2], [0, 1, side // 2], [0, 0, 1]])
    back = np.array([[1, 0, -side // 2], [0, 1, -side // 2], [0, 0, 1]])
    matrix = middle @ np.array(linear, float) @ back
    return matrix if name == "perspective" else matrix[:2]


MOVES = ("flip", "vertical flip", "quarter turn", "transposition", "shift", "scale")
MOVES += ("rotation", "shear", "perspective")


def stars(rng):
    """COCO polygons: stars of which one has a hole by a slit, one lies apart, and two overlap."""

    def star(x, y, radius, count):
        angle = np.sort(rng.uniform(0, 2 * np.pi, count))
        radii = radius * rng.uniform(0.5, 1, count)[:, None]
        return (x, y) + radii * np.stack([np.cos(angle), np.sin(angle)], axis=1)

    outer, hole = star(15, 16, 13, 14), star(15, 16, 4, 6)
    ring = np.concatenate([outer, outer[:1], hole, hole[:1], outer[:1]])
    return [p.ravel().tolist() for p in (ring, star(24, 20, 7, 9), star(33, 33, 6, 5))]


@pytest.mark.parametrize("seed", range(3))
def test_bounds_area_and_drawings(kind, seed):
    mask = blob(seed)
    outline = kind(mask)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    x1, y1, x2, y2 = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    assert outline.bounds() == (x1, y1, x2, y2)
    assert outline.area() == pytest.approx(mask.sum())
    whole = outline.draw_whole(HEIGHT, WIDTH)
    assert whole.dtype == np.uint8
    np.testing.assert_array_equal(whole, 255 * mask)
    # Its own bounds in cells of a quarter pixel, of three rows of these.
    side = 4 * (x2 - x1)
    drawn = outline.draw((x1, y1, x2, y1 + 3 * (x2 - x1) / 12), side)
    rows = np.kron(mask[y1 : y1 + 9, x1:x2].astype(float), np.ones((16, 4)))[:side]
    expected = rows.reshape(side, 1, side)[:, 0]
    np.testing.assert_array_equal(drawn, 255 * expected)


def test_a_box_that_reaches_out_of_the_picture(kind):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[:, 30:] = True
    drawn = kind(mask).draw((20, -10, 60, 30), 8)
    expected = np.zeros((8, 8), int)
    expected[2:, 2:4] = 255
    np.testing.assert_array_equal(drawn, expected)


def test_run_lengths_and_json(kind):
    mask = blob(5)
    outline = kind(mask)
    rle = outline.to_rle(HEIGHT, WIDTH)
    assert rle.size == (HEIGHT, WIDTH)
    decoded = coco_mask.decode({"size": list(rle.size), "counts": rle.counts})
    np.testing.assert_array_equal(decoded, mask)
    written = json.loads(json.dumps(outline.to_coco(HEIGHT, WIDTH)))
    read = outline_from_coco(written)
    np.testing.assert_array_equal(read.draw_whole(HEIGHT, WIDTH), 255 * mask)
    assert read.to_coco(HEIGHT, WIDTH) == written
    # Another size of the picture: what lies beyond is lost, what is new is empty.
    larger = np.zeros((50, 20), bool)
    larger[:HEIGHT] = mask[:, :20]
    np.testing.assert_array_equal(outline.draw_whole(50, 20), 255 * larger)
    other = outline.to_rle(50, 20)
    assert other.size == (50, 20)
    np.testing.assert_array_equal(other.draw_whole(50, 20), 255 * larger)


def test_crop_at_pixels(kind):
    mask = blob(1)
    cut = kind(mask).crop((10, 8, 28, 21))
    expected = np.zeros_like(mask)
    expected[8:21, 10:28] = mask[8:21, 10:28]
    np.testing.assert_array_equal(cut.draw_whole(HEIGHT, WIDTH), 255 * expected)
    assert cut.area() == pytest.approx(expected.sum())


def test_crop_between_pixels(kind):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[10:20, 10:20] = True
    mask[15, 15] = False
    cut = kind(mask).crop((9.5, 12.25, 15.5, 18))
    assert cut.bounds() == (10, 12.25, 15.5, 18)
    # 5.5 by 5.75, without the half of the hole that lies within.
    assert cut.area() == pytest.approx(5.5 * 5.75 - 0.5)
    drawn = cut.draw((10, 12, 20, 22), 10)
    expected = np.zeros((10, 10))
    expected[:6, :5] = 255
    expected[:6, 5] = 128
    expected[0] = np.floor(expected[0] * 0.75 + 0.5)
    expected[3, 5] = 0
    np.testing.assert_allclose(drawn, expected, atol=1)


@pytest.mark.parametrize("box", [(0, 0, 3, 30), (3, 3, 3, 9), (50, 50, 60, 60), (0, 0, 10, 10.5)])
def test_crop_that_leaves_nothing(kind, box):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[11:20, 10:20] = True
    assert kind(mask).crop(box) is None


def test_what_lies_within_the_box_stays(kind):
    mask = blob(2)
    for box in ((0, 0, WIDTH, HEIGHT), (-0.5, -3, 99.25, 99)):
        cut = kind(mask).crop(box)
        np.testing.assert_array_equal(cut.draw_whole(HEIGHT, WIDTH), 255 * mask)


@pytest.mark.parametrize("name", MOVES)
def test_moved_equals_the_fine_mask_moved(kind, name):
    rng = np.random.default_rng(MOVES.index(name))
    points = fine_grid(WIDTH, WIDTH)
    for seed in range(3):
        mask, matrix = blob(seed), random_matrix(rng, name)
        expected = in_mask(inverse(points, matrix), mask).reshape([WIDTH * FINE] * 2)
        moved = kind(mask).transform(matrix)
        assert overlap(draw_fine(moved, WIDTH), expected) >= 0.995


def test_a_perspective_that_looks_like_no_move(kind):
    # x' = x / (1 + x / 40): 20 becomes 40/3, 40 becomes 20.
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[:10, 20:] = True
    moved = kind(mask).transform([[1, 0, 0], [0, 1, 0], [1 / 40, 0, 1]])
    np.testing.assert_allclose(moved.bounds(), (40 / 3, 0, 20, 20 / 3))


@pytest.mark.parametrize("name", MOVES)
def test_moved_polygons_equal_the_fine_polygons_moved(name):
    rng = np.random.default_rng(9)
    points = fine_grid(WIDTH, WIDTH)
    for _ in range(22):
        polygons, matrix = stars(rng), random_matrix(rng, name)
        expected = in_polygons(inverse(points, matrix), polygons).reshape([WIDTH * FINE] * 2)
        moved = Polygons(polygons).transform(matrix)
        assert overlap(draw_fine(moved, WIDTH), expected) >= 0.995


@pytest.mark.parametrize("name", MOVES)
def test_there_and_back(kind, name):
    rng = np.random.default_rng(4)
    matrix = random_matrix(rng, name)
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]) if len(matrix) == 2 else matrix)
    polygons = Polygons(stars(rng))
    returned = polygons.transform(matrix).transform(back)
    for (before,), (after,) in zip(polygons.groups, returned.groups, strict=True):
        np.testing.assert_allclose(after, before, atol=1e-9)
    mask = blob(3)
    outline = kind(mask).transform(matrix).transform(back)
    np.testing.assert_allclose(outline.bounds(), kind(mask).bounds(), atol=1e-6)
    np.testing.assert_array_equal(outline.draw_whole(HEIGHT, WIDTH), 255 * mask)


@pytest.mark.parametrize("name", MOVES[:4])
def test_flips_and_turns_are_exact_on_cells(kind, name):
    mask = np.zeros((WIDTH, WIDTH), bool)
    mask[:HEIGHT] = blob(7)
    matrix = random_matrix(np.random.default_rng(0), name)
    expected = {
        "flip": mask[:, ::-1],
        "vertical flip": mask[::-1],
        "quarter turn": np.rot90(mask, -1),
        "transposition": mask.T,
    }[name]
    moved = kind(mask[:HEIGHT]).transform(matrix)
    np.testing.assert_array_equal(moved.draw_whole(WIDTH, WIDTH), 255 * expected)
    assert moved.area() == pytest.approx(mask.sum())
    rows, columns = np.flatnonzero(expected.any(1)), np.flatnonzero(expected.any(0))
    assert moved.bounds() == (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)


@pytest.mark.parametrize("mask", [np.ones, np.zeros], ids=["all", "none"])
def test_all_and_nothing(kind, mask):
    mask = mask((HEIGHT, WIDTH), bool)
    outline = kind(mask)
    area = float(mask.sum())
    assert outline.area() == pytest.approx(area)
    assert outline.bounds() == ((0, 0, WIDTH, HEIGHT) if area else (0, 0, 0, 0))
    np.testing.assert_array_equal(outline.draw_whole(HEIGHT, WIDTH), 255 * mask)
    np.testing.assert_array_equal(
        outline.to_rle(HEIGHT, WIDTH).draw_whole(HEIGHT, WIDTH), 255 * mask
    )
    for matrix in ([[-1, 0, WIDTH], [0, 1, 0]], [[0.8, 0.6, 3], [-0.6, 0.8, 4]]):
        assert outline.transform(matrix).area() == pytest.approx(area)
    cut = outline.crop((-5, -5, 4.5, 6))
    assert (cut.area() if cut else 0) == pytest.approx(27 if area else 0)
    assert (outline.crop((0, 0, 99, 99)) is None) == (not area)


def test_one_pixel(kind):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[0, WIDTH - 1] = True
    outline = kind(mask)
    assert (outline.bounds(), outline.area()) == ((39, 0, 40, 1), pytest.approx(1))
    moved = outline.transform([[-1, 0, WIDTH], [0, 1, 0]])
    assert moved.bounds() == (0, 0, 1, 1)
    assert moved.crop((0.25, 0.5, 9, 9)).bounds() == (0.25, 0.5, 1, 1)
    np.testing.assert_array_equal(moved.draw((0, 0, 1, 1), 3), np.full((3, 3), 255))


@pytest.mark.parametrize("matrix", [np.eye(2), np.zeros((3, 2)), [1, 0, 0]])
def test_a_matrix_of_another_shape(kind, matrix):
    with pytest.raises(ValueError, match=r"matrix must be \[2, 3\] or \[3, 3\]"):
        kind(blob(0)).transform(np.asarray(matrix))


def test_a_horizon_through_the_outline(kind):
    with pytest.raises(ValueError, match=r"one side of its horizon.*Received: matrix="):
        kind(blob(0)).transform([[1, 0, 0], [0, 1, 0], [-0.05, 0, 1]])


def test_nothing_changes_the_outline(kind):
    mask = blob(0)
    outline = kind(mask)
    outline.transform([[0, 1, 0], [1, 0, 0]])
    outline.crop((3, 3, 12.5, 12))
    assert "(" in repr(outline)
    np.testing.assert_array_equal(outline.draw_whole(HEIGHT, WIDTH), 255 * mask)


@pytest.mark.parametrize("value", [None, [], {}, "1,2,3", {"size": [1, 1]}])
def test_what_is_no_outline(value):
    with pytest.raises(ValueError, match="segmentation must be a list of polygons or an RLE"):
        outline_from_coco(value)
