"""Objects of a large picture from its tiles, against the same objects seen at once.

The finder is exact: in each tile it finds what is connected there, with its pixels.
"""

import numpy as np
import pytest
from scipy import ndimage

from keras_maskrcnn.inference.tiling import Tiling
from keras_maskrcnn.inference.tiling.pictures import as_large_picture
from keras_maskrcnn.inference.tiling.predict import predict_tiled
from keras_maskrcnn.outlines import Bitmap
from keras_maskrcnn.results import Detections


def find_connected(pictures, scale=1.0, sizes=None):
    """Each connected part of one value, other than 0, is an object of that class."""
    assert scale == 1
    results = []
    for picture in pictures:
        values = picture[..., 0].astype(int)
        boxes, classes, outlines = [], [], []
        for value in np.unique(values[values > 0]).tolist():
            labels, _ = ndimage.label(values == value, np.ones((3, 3)))
            for number, (y, x) in enumerate(ndimage.find_objects(labels), 1):
                boxes.append((x.start, y.start, x.stop, y.stop))
                classes.append(value - 1)
                outlines.append(Bitmap(labels[y, x] == number, x.start, y.start))
        # The larger of two in a tile has the better score: parts of one object differ.
        scores = [0.5 + outline.area() / 1e6 for outline in outlines]
        results.append(
            Detections(
                np.reshape(boxes, (-1, 4)),
                classes,
                scores,
                None,
                picture.shape[:2],
                outlines=outlines,
                extras={"area": np.array([o.area() for o in outlines])},
            )
        )
    return results


def tiled(values, tile, overlap, batch_size=1, find=find_connected):
    picture = np.repeat(np.uint8(values)[..., None], 3, axis=2)
    return predict_tiled(
        find, as_large_picture(picture, 0), Tiling(tile, overlap), ("a", "b"), batch_size
    )


def as_set(found):
    return {
        (int(k), *box, rle["counts"])
        for k, box, rle in zip(found.classes, found.boxes.tolist(), found.rles(), strict=True)
    }


def whole(values):
    return find_connected([np.repeat(np.uint8(values)[..., None], 3, axis=2)])[0]


@pytest.mark.parametrize(("tile", "overlap"), [(64, 16), (64, 30), (100, 20), (400, 16)])
@pytest.mark.parametrize("seed", range(5))
def test_small_objects_are_found_once_each(tile, overlap, seed):
    """Discs of at most the overlap's size, wherever they lie, on every edge of tiles, too."""
    rng = np.random.default_rng(seed)
    values = np.zeros((230, 310), int)
    y, x = np.indices(values.shape)
    for _ in range(150):
        cy, cx, radius = rng.uniform(0, 230), rng.uniform(0, 310), rng.uniform(1, 6)
        disc = np.hypot(y - cy, x - cx) < radius
        if not ndimage.binary_dilation(disc, iterations=2)[values > 0].any():
            values[disc] = rng.integers(1, 3)
    expected = whole(values)
    assert len(expected) > 60
    found = tiled(values, tile, overlap, batch_size=3)
    assert len(found) == len(expected)
    assert as_set(found) == as_set(expected)
    # What else is known of each came with it.
    np.testing.assert_array_equal(found.extras["area"], found.to_table()["mask_pixels"])


def test_objects_larger_than_a_tile_are_joined():
    """A ring over all tiles keeps its hole, a cross within it stays an object of its own, and a
    snake that enters tiles twice is one."""
    values = np.zeros((300, 420), int)
    y, x = np.indices(values.shape)
    radius = np.hypot(y - 150, x - 150)
    values[(radius < 140) & (radius > 110)] = 1
    values[140:160, 60:240] = values[60:240, 140:160] = 2
    for row in range(20, 280, 40):
        values[row : row + 8, 310:410] = 1
        side = 310 if (row // 40) % 2 else 402
        values[row : row + 48, side : side + 8] = 1
    expected = whole(values)
    assert len(expected) == 3
    found = tiled(values, 64, 16)
    assert as_set(found) == as_set(expected)
    assert found.image_size == values.shape


def test_touching_objects_of_two_classes_stay_two():
    values = np.zeros((64, 200), int)
    values[20:40, 30:100], values[20:40, 100:170] = 1, 2
    assert as_set(tiled(values, 64, 20)) == as_set(whole(values))


@pytest.mark.parametrize("end", [61, 64], ids=["whole", "cut by the edge"])
def test_what_another_tile_answers_for_is_left_out(end):
    """The first tile alone finds something small beyond the middle of the overlap: the second sees
    all of it, and says that there is nothing."""
    values = np.zeros((64, 108), int)
    values[30:36, 55:end] = 1  # The overlap is 44 to 64, its middle 54.
    calls = iter([True, False])

    def not_second(pictures, scale, sizes):
        (found,) = find_connected(pictures)
        return [found if next(calls) else found[:0]]

    assert len(tiled(values, 64, 20, find=not_second)) == 0
    calls = iter([False, True])
    assert len(tiled(values, 64, 20, find=not_second)) == 1


def test_unsure_outlines_are_one_object():
    """Two tiles see the same object two pixels apart: it is found once, with the mask of the tile
    that answers for it."""
    values = np.zeros((64, 108), int)
    values[24:40, 46:60] = 1
    calls = iter([0, 2])

    def shaky(pictures, scale, sizes):
        return find_connected([np.roll(pictures[0], next(calls), axis=0)])

    found = tiled(values, 64, 20, find=shaky)
    assert len(found) == 1
    assert found.boxes[0].tolist() == [46, 24, 60, 40]  # Its centre, 53, is nearer to the first.


def test_nothing_and_one_tile():
    found = tiled(np.zeros((50, 40), int), 64, 16)
    assert len(found) == 0 and found.has_masks and found.rles() == []
    assert found.masks.shape == (0, 50, 40)
    values = np.zeros((50, 40), int)
    values[0, 0] = values[49, 39] = 1  # One pixel each, in corners.
    assert as_set(tiled(values, 64, 16)) == as_set(whole(values))


def test_scales_find_each_object_once():
    """Of two scales that see the same objects, the surer one counts for each."""
    values = np.zeros((100, 200), int)
    values[10:30, 10:30] = values[50:90, 60:180] = 1

    def find(pictures, scale, sizes):
        found = [one for one in find_connected(pictures)]
        for one in found:
            small = one.boxes[:, 2] - one.boxes[:, 0] < 50
            one.scores[:] = np.where(small == (scale == 1), 0.9, 0.6)
            if scale == 1:  # It sees of the large one no more than parts, and unsurely.
                one.scores[~small] = 0.55
        return found

    picture = np.repeat(np.uint8(values)[..., None], 3, axis=2)
    found = predict_tiled(
        find, as_large_picture(picture, 0), Tiling(64, 24, (1.0, 0.25)), ("a", "b")
    )
    assert as_set(found) == as_set(whole(values))
    assert found.scores.tolist() == pytest.approx([0.9, 0.9])


def test_progress():
    told = []
    predict_tiled(
        find_connected,
        as_large_picture(np.zeros((64, 150, 3), "uint8"), 0),
        Tiling(64, 16),
        (),
        batch_size=2,
        tell=lambda done, count: told.append((done, count)),
    )
    assert told == [(2, 3), (3, 3)]
