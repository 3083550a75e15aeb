"""What ends up on the picture, pixel by pixel where it matters."""

import dataclasses
import itertools

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.drawing import CROWD_COLOR, PALETTE, Shape, color_shapes
from keras_maskrcnn.outlines import outline_from_coco
from keras_maskrcnn.results import Detections
from keras_maskrcnn.visualize import draw_detections, draw_instances

SIZE = (200, 300)
NAMES = ("cat", "dog")


def picture(value=100):
    return np.full((*SIZE, 3), value, np.uint8)


def make(
    boxes=((40, 60, 140, 160), (180, 80, 260, 150)), classes=(0, 1), scores=(0.9, 0.6), **more
):
    count = len(boxes)
    masks = np.ones((count, 28, 28))
    return Detections(np.array(boxes), classes, scores, masks, SIZE, NAMES, **more)


def instance(box, category=0, is_crowd=False, outline=None, keypoints=None):
    x1, y1, x2, y2 = box
    outline = outline_from_coco(outline or [[x1, y1, x2, y1, x2, y2, x1, y2]])
    return Instance(category, box, outline, is_crowd, (x2 - x1) * (y2 - y1), 1, keypoints)


def record(*instances):
    return ImageRecord(1, "folder/one.png", *SIZE, tuple(instances))


def test_fill_outline_and_box():
    image = picture()
    drawn = draw_detections(image, make(), labels=False)
    assert drawn.dtype == np.uint8 and drawn.shape == image.shape
    np.testing.assert_array_equal(image, picture())
    color = np.array(PALETTE[0])
    np.testing.assert_allclose(drawn[110, 90], 0.62 * 100 + 0.38 * color, atol=1)
    np.testing.assert_array_equal(drawn[20, 20], 100)
    # The outline is opaque below the translucent frame, and both have the class' colour.
    np.testing.assert_allclose(drawn[110, 40], color, atol=1)
    np.testing.assert_allclose(drawn[110, 220], 0.62 * 100 + 0.38 * np.array(PALETTE[1]), atol=1)


def test_threshold():
    drawn = draw_detections(picture(), make(), threshold=0.7)
    assert (drawn[60:160, 180:280] == 100).all() and (drawn[60:160, 40:140] != 100).any()
    np.testing.assert_array_equal(draw_detections(picture(), make(), threshold=0.95), picture())
    np.testing.assert_array_equal(draw_detections(picture(), make()[[]]), picture())


def test_small_objects_lie_on_top():
    found = make(boxes=((100, 80, 120, 100), (20, 20, 280, 180)))
    drawn = draw_detections(picture(), found, labels=False, boxes=False)
    under = 0.62 * 100 + 0.38 * np.array(PALETTE[1])
    np.testing.assert_allclose(drawn[90, 110], 0.62 * under + 0.38 * np.array(PALETTE[0]), atol=2)


def test_labels_stand_above_their_box():
    plain = draw_detections(picture(), make(), labels=False)
    drawn = draw_detections(picture(), make())
    rows, columns = (plain != drawn).any(-1).nonzero()
    assert set(rows // 20) <= {2, 3} and rows.max() < 80
    assert columns.min() == 40
    # Dark letters on the class' colour.
    patch = drawn[rows.min() : 60, 40:90].reshape(-1, 3)
    assert (patch == PALETTE[0]).all(axis=1).mean() > 0.4
    assert (patch.sum(axis=1) < 100).any()


def test_label_at_the_top_edge_stays_inside():
    found = make(boxes=((5, 0, 295, 195), (0, 0, 4, 4)))[:1]
    drawn = draw_detections(picture(), found)
    assert (drawn != draw_detections(picture(), found, labels=False)).any()


def test_no_labels_on_many_small_objects():
    boxes = [(x, y, x + 6, y + 6) for x in range(2, 290, 12) for y in range(2, 190, 12)]
    found = make(boxes, np.zeros(len(boxes)), np.full(len(boxes), 0.9))
    np.testing.assert_array_equal(
        draw_detections(picture(), found), draw_detections(picture(), found, labels=False)
    )


def test_lone_small_object_keeps_its_label():
    found = make(boxes=((150, 100, 154, 104),), classes=(0,), scores=(0.9,))
    drawn = draw_detections(picture(), found)
    assert (drawn != draw_detections(picture(), found, labels=False)).any(-1).sum() > 300


def test_scale():
    drawn = draw_detections(picture(), make(), scale=2.5, labels=False)
    assert drawn.shape == (500, 750, 3)
    np.testing.assert_allclose(drawn[275, 225], 0.62 * 100 + 0.38 * np.array(PALETTE[0]), atol=1)


def test_boxes_outside_and_empty():
    boxes = ((-50, -50, -10, -10), (280, 180, 400, 400), (50, 50, 50, 50), (0, 0, 300, 200))
    drawn = draw_detections(picture(), make(boxes, (0, 1, 0, 1), (0.9,) * 4))
    assert drawn.shape == (*SIZE, 3)


def test_grey_picture_and_no_masks():
    found = dataclasses.replace(make(), mask_probabilities=None)
    drawn = draw_detections(picture()[..., 0], found, labels=False)
    assert drawn.shape == (*SIZE, 3)
    np.testing.assert_array_equal(drawn[110, 90], 100)
    assert (drawn[110, 40] != 100).any()


def test_keypoints():
    points = np.array([[[60, 80, 2.0], [120, 140, 1.0], [250, 20, 0.0]]])
    found = make(keypoints=np.repeat(points, 2, 0))[:1]
    drawn = draw_detections(picture(), found, labels=False, skeleton=[(0, 1), (1, 2)])
    np.testing.assert_array_equal(drawn[80, 60], 255)
    np.testing.assert_array_equal(drawn[20, 250], 100)  # Not seen.
    np.testing.assert_array_equal(drawn[110, 90], PALETTE[0])  # On the limb.
    dots = draw_detections(picture(), found, labels=False)
    assert (dots[110, 90] != PALETTE[0]).any()


def test_colors_by_instance_differ_between_neighbours():
    boxes = [np.array([10.0 * i, 0, 10 * i + 9, 9]) for i in range(40)]
    shapes = [Shape(box, 0, []) for box in boxes]
    color_shapes(shapes, "instance")
    colors = [shape.color for shape in shapes]
    assert all(a != b for a, b in itertools.pairwise(colors))
    by_class = [Shape(boxes[0], k, []) for k in range(80)]
    color_shapes(by_class, "class")
    assert len({shape.color for shape in by_class}) == 80


def test_instances_polygon_and_rle_agree():
    box = (40.0, 60.0, 140.0, 160.0)
    mask = np.zeros(SIZE, np.uint8, order="F")
    mask[60:160, 40:140] = 1
    rle = coco_mask.encode(mask)
    counts = [40 * 200 + 60, *([100, 100] * 100)]
    counts[-1] = 200 * 300 - sum(counts[:-1])
    drawn = [
        draw_instances(picture(), record(instance(box, outline=outline)), NAMES)
        for outline in (None, rle, {"size": list(SIZE), "counts": counts})
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])


def test_crowds_are_grey():
    crowd = instance((40.0, 60.0, 140.0, 160.0), is_crowd=True)
    drawn = draw_instances(picture(), record(crowd), NAMES, labels=False)
    np.testing.assert_allclose(drawn[110, 90], 0.62 * 100 + 0.38 * np.array(CROWD_COLOR), atol=1)


def test_refuses():
    with pytest.raises(ValueError, match="Received: image of shape"):
        draw_detections(picture()[:100], make())
    with pytest.raises(ValueError, match="float"):
        draw_detections(picture() / 255.0, make())
    with pytest.raises(ValueError, match="color_by='score'"):
        draw_detections(picture(), make(), color_by="score")
    with pytest.raises(ValueError, match="scale=0"):
        draw_detections(picture(), make(), scale=0)
