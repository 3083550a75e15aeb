"""Crops of large pictures: what is on them, by hand; where they lie, pass by pass."""

import numpy as np
import pytest

from keras_maskrcnn.data.crops import Crops, most_in_window
from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.passes import draw_groups, draw_order, draw_order_of_groups
from keras_maskrcnn.data.plan import PassPlan
from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.images.tiling import Tiling
from keras_maskrcnn.outlines import Bitmap, Polygons


def rectangle(x1, y1, x2, y2, **changes):
    fields = {"category": 0, "box": (x1, y1, x2, y2), "is_crowd": False, "annotated_area": None}
    fields |= {"outline": Polygons([[x1, y1, x2, y1, x2, y2, x1, y2]]), "annotation_id": 1}
    return Instance(**{**fields, **changes})


def data_of(*instances, size=(100, 180), count=1):
    records = [ImageRecord(7 + n, f"{n}.tif", *size, tuple(instances)) for n in range(count)]
    return DetectionData(records, ["a", "b"], [1, 2])


def crops_of(*instances, tiling=None, **options):
    """Of a picture of 100 x 180 pixels, tiles begin at 0 and 80."""
    return Crops(data_of(*instances, **options), tiling or Tiling(100, 20)).records()


def test_objects_by_hand():
    left, right = crops_of(
        rectangle(10, 20, 30, 40, annotated_area=300.0),  # Whole, on the left alone.
        rectangle(70, 10, 110, 30, annotated_area=800.0),  # Cut on both.
        rectangle(62, 50, 82, 60),  # Of 20 pixels, 2 on the right: a tenth is enough,
        rectangle(62.1, 70, 82.1, 80, annotation_id=2),
        rectangle(61.9, 70, 81.9, 80, annotation_id=3),  # less is not.
        rectangle(90, 0, 170, 100, category=1, outline=None),
    )
    assert [left.window, right.window] == [(0, 0, 100, 100), (80, 0, 180, 100)]
    assert (left.image_id, left.height, left.width) == (7, 100, 100)
    assert [o.box for o in left.objects] == [
        (10, 20, 30, 40),
        (70, 10, 100, 30),
        (62, 50, 82, 60),
        (62.1, 70, 82.1, 80),
        (61.9, 70, 81.9, 80),
        (90, 0, 100, 100),
    ]
    np.testing.assert_allclose([o.area for o in left.objects], [300, 600, 200, 200, 200, 1000])
    np.testing.assert_allclose(
        [o.box for o in right.objects],
        [(0, 10, 30, 30), (0, 50, 2, 60), (0, 70, 2.1, 80), (10, 0, 90, 100)],
    )
    assert [o.annotation_id for o in right.objects] == [1, 1, 2, 1]
    assert right.objects[-1].outline is None and right.objects[-1].category == 1
    assert right.named == "Image id 7, pixels 80, 0 to 180, 100"


def test_of_what_is_larger_than_the_overlap_little_is_left_out():
    """A tenth of the square of the overlap, 40 pixels, counts whatever part of an object it is."""
    large = rectangle(0, 0, 84.5, 100), rectangle(0, 10, 82, 29), rectangle(0, 40, 82, 61)
    _, right = crops_of(*large)
    # 450 of 8450 square pixels; 38 of 1558; 42 of 1722.
    np.testing.assert_allclose([o.box for o in right.objects], [(0, 0, 4.5, 100), (0, 40, 2, 61)])
    # Else a field that fills many crops would be on none.
    crops = crops_of(rectangle(0, 0, 1000, 1000), size=(1000, 1000))
    assert len(crops) == 169 and all(len(crop.objects) == 1 for crop in crops)


def test_crowds_are_cut_and_stay():
    left, right = crops_of(rectangle(0, 0, 81, 10, is_crowd=True))
    assert [c.box for c in left.crowds] == [(0, 0, 81, 10)]
    assert [c.box for c in right.crowds] == [(0, 0, 1, 10)]


def test_keypoints_outside_are_not_labelled():
    points = np.array([[75, 15, 2], [95, 15, 1], [105, 25, 2], [0, 0, 0]], "float32")
    left, right = crops_of(rectangle(70, 10, 110, 30, keypoints=points))
    np.testing.assert_array_equal(
        left.objects[0].keypoints, [[75, 15, 2], [95, 15, 1], [0, 0, 0], [0, 0, 0]]
    )
    np.testing.assert_array_equal(
        right.objects[0].keypoints, [[0, 0, 0], [15, 15, 1], [25, 25, 2], [0, 0, 0]]
    )


def test_outlines_are_the_crop_of_the_whole():
    """Pixel by pixel, each by its exact share; of masks the very bits."""
    rng = np.random.default_rng(0)
    instances = []
    for _ in range(30):
        angles, radii = np.sort(rng.uniform(0, 2 * np.pi, 9)), rng.uniform(3, 60, 9)
        points = rng.uniform(20, 130, 2) + np.stack(
            [radii * np.cos(angles), radii * np.sin(angles)], axis=1
        )
        points = np.clip(points, 0, (180, 100))
        hole = points.mean(axis=0) + (points - points.mean(axis=0)) * 0.3
        outline = Polygons.from_loops([[points, hole]])
        instances.append(Instance(0, outline.bounds(), outline, False, None, 1))
        bits = rng.random((20, 30)) > 0.4
        mask = Bitmap(bits, int(rng.integers(0, 150)), int(rng.integers(0, 80)))
        for form in (mask, mask.to_rle(100, 180)):
            instances.append(Instance(1, mask.bounds(), form, False, None, 2))
    numbered = [
        Instance(i.category, i.box, i.outline, False, None, n) for n, i in enumerate(instances)
    ]
    compared = 0
    for crop in crops_of(*numbered, tiling=Tiling(64, 16)):
        x1, y1, x2, y2 = crop.window
        for cut in crop.objects:
            whole = numbered[cut.annotation_id].outline
            np.testing.assert_allclose(
                cut.outline.coverage((0, 0, 64, 64), 64),
                whole.coverage((x1, y1, x2, y2), 64),
                atol=1e-9,
            )
            if cut.category:
                np.testing.assert_array_equal(
                    cut.outline.draw_whole(64, 64), whole.draw_whole(100, 180)[y1:y2, x1:x2]
                )
            np.testing.assert_allclose(cut.box, cut.outline.bounds(), atol=1e-9)
            compared += 1
    assert compared > 200


def test_scales():
    crops = crops_of(rectangle(40, 20, 80, 60), tiling=Tiling(100, 20, (1, 0.5)))
    assert [crop.window for crop in crops] == [
        (0, 0, 100, 100),
        (80, 0, 180, 100),
        (0, 0, 180, 100),
    ]
    assert (crops[-1].height, crops[-1].width) == (50, 90)
    assert [crop.objects[0].box for crop in (crops[0], crops[2])] == [
        (40, 20, 80, 60),
        (20, 10, 40, 30),
    ]
    assert crops[2].objects[0].area == 400


def test_shifts():
    """A picture's crops move together, its neighbour's otherwise; none leaves it, and what a seam
    cuts in one pass is whole in another."""
    seam = rectangle(70, 30, 110, 60)
    data = data_of(seam, size=(90, 1000), count=2)
    crops, other = (Crops(data, Tiling(100, 20), seed) for seed in (0, 1))
    still = [crop.window for crop in crops.records()]
    assert len(still) == 26 and still[:2] == [(0, 0, 100, 90), (80, 0, 180, 90)]
    moves, whole = [], 0
    for epoch in range(40):
        records = crops.records(epoch)
        windows = np.array([crop.window for crop in records])
        assert len(windows) == 26 and crops.owners.tolist() == [0] * 13 + [1] * 13
        assert [crop.image_id for crop in records] == [7] * 13 + [8] * 13
        np.testing.assert_array_equal(windows[:, 2:] - windows[:, :2], [[100, 90]] * 26)
        assert windows[:, 0].min() >= 0 and windows[:, 2].max() <= 1000
        for half in (windows[:13], windows[13:]):
            assert (np.diff(half[1:-2, 0]) == 80).all()  # But for those at the border.
            assert np.diff(half[:, 0]).max() <= 80 and not half[:, 1].any()
        moves.append((windows[5, 0] - 400, windows[18, 0] - 400))
        whole += any(o.box[2] - o.box[0] == 40 for crop in records[:13] for o in crop.objects)
    moves = np.array(moves)
    assert np.abs(moves).max() <= 40 and (moves.min(axis=0) < -30).all()
    assert (moves.max(axis=0) > 30).all() and (moves[:, 0] != moves[:, 1]).sum() > 30
    assert 0 < whole < 40
    again = Crops(data, Tiling(100, 20), 0).records(3)
    assert [crop.window for crop in again] == [crop.window for crop in crops.records(3)]
    assert [crop.window for crop in other.records(3)] != [crop.window for crop in again]


def test_what_no_crop_has_more_of():
    rng = np.random.default_rng(0)
    for count, side in ((1, 50), (40, 16), (300, 100), (300, 37)):
        corners = rng.uniform(0, 380, (count, 2))
        boxes = np.concatenate([corners, corners + rng.uniform(0.5, 20, (count, 2))], axis=1)
        bound = most_in_window(boxes, side)
        most = max(
            int(((boxes[:, :2] < (x + side, y + side)) & (boxes[:, 2:] > (x, y))).all(1).sum())
            for x in range(0, 400, 3)
            for y in range(0, 400, 3)
        )
        assert most <= bound <= 1.4 * most + 2
    crowd = rectangle(0, 0, 4, 4, is_crowd=True)
    crops = Crops(data_of(crowd, crowd, rectangle(50, 50, 60, 60)), Tiling(100, 20))
    assert (crops.max_objects, crops.max_crowds) == (1, 2)
    empty = Crops(data_of(), Tiling(100, 20))
    assert (empty.max_objects, empty.max_crowds) == (1, 1)
    assert [crop.instances for crop in empty.records()] == [(), ()]


def test_crops_without_objects():
    """By default all are kept; a sampling counts them as they are in each pass."""
    data = data_of(rectangle(10, 10, 30, 30), size=(100, 1000))
    tiling = Tiling(100, 20)
    every = PassPlan(data, None, 0, shuffle=True, tiling=tiling)
    assert every.count == 13 and every.pictures(4).tolist() == list(range(13))
    assert every.describe(0).startswith("13 crops, ")
    some = PassPlan(data, {"max_empty": 0}, 0, shuffle=True, tiling=tiling)
    assert some.count == 1
    seen = 0
    for epoch in range(30):
        (number,) = some.pictures(epoch)
        crops = some.records(epoch)
        seen += bool(crops[number].objects)
        # Where the crops have moved away from it, one that is near: never an error.
        assert crops[number].objects or not any(crop.objects for crop in crops)
    assert seen > 15
    with pytest.raises(ValueError, match="max_empty=0"):
        PassPlan(data_of(), {"max_empty": 0}, 0, tiling=tiling)
    half = PassPlan(data, {"empty_share": 0.5}, 0, tiling=tiling)
    assert half.count == 2


def test_files_that_are_decoded_whole_come_together():
    sizes = np.array([40, 40, 40, 0, 0, 90])
    for epoch in range(20):
        groups = draw_groups(sizes, 100, 0, epoch)
        filled = [sizes[groups == group].sum() for group in range(groups.max() + 1)]
        assert sum(filled) == 210 and max(filled) <= 100 and all(filled)
    assert draw_groups(np.zeros(5, int), 100, 0, 0).tolist() == [0] * 5
    files = np.repeat([0, 1, 2], 7)
    ratios = np.ones(21)
    order = draw_order_of_groups(ratios, files, 4, 0, 0)
    assert sorted(order.tolist()) == list(range(21))
    np.testing.assert_array_equal(files[order], files)
    alike = [(order[7 * n : 7 * n + 7] % 7).tolist() for n in range(3)]
    assert alike[0] != alike[1] != alike[2]
    # In one group, as without any.
    np.testing.assert_array_equal(
        draw_order_of_groups(ratios, np.zeros(21, int), 4, 3, 2), draw_order(ratios, 4, 3, 2)
    )
