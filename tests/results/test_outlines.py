"""Detections whose masks are outlines, against the same masks as probabilities."""

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from keras_maskrcnn.outlines import RLE, Bitmap
from keras_maskrcnn.results import Detections
from keras_maskrcnn.visualize import draw_detections

SIZE = (40, 50)
NAMES = ("a", "b")
BOXES = np.float32([[3, 4, 23, 24], [10, 8, 30, 36], [0, 0, 5, 5], [44.5, 30.2, 50, 40]])
DISC = np.hypot(*(np.indices((28, 28)) - 13.5)) < 12


@pytest.fixture
def pair():
    """The same objects in both forms."""
    masks = np.stack([DISC, ~DISC, np.ones_like(DISC), DISC]).astype("float32")
    common = {"image_size": SIZE, "class_names": NAMES}
    plain = Detections(BOXES, [0, 1, 0, 1], [0.9, 0.8, 0.7, 0.95], masks, **common)
    first, *rest = plain.rles()
    outlines = [Bitmap(plain.masks[0]), *(RLE(r["size"], r["counts"]) for r in rest)]
    assert first["size"] == list(SIZE)
    return plain, Detections(
        BOXES, [0, 1, 0, 1], [0.9, 0.8, 0.7, 0.95], None, outlines=outlines, **common
    )


def test_masks_in_every_form(pair):
    plain, outlined = pair
    assert outlined.has_masks
    np.testing.assert_array_equal(outlined.masks, plain.masks)
    assert outlined.rles() == plain.rles()
    np.testing.assert_array_equal(outlined.label_map(), plain.label_map())
    assert outlined.to_table() == plain.to_table()
    assert outlined.to_coco(3, (5, 6)) == plain.to_coco(3, (5, 6))
    assert outlined._repr_html_() == plain._repr_html_()


def test_rows(pair):
    plain, outlined = pair
    for rows in (outlined.scores > 0.75, [2, 0], slice(1, 3), []):
        np.testing.assert_array_equal(outlined[rows].masks, plain[rows].masks)
    assert outlined.mask_nms(0.1).rles() == plain.mask_nms(0.1).rles()


def test_polygons_cover_the_mask(pair):
    (whole,) = pair[1][:1]
    shapes = whole.to_labelme("a.png")["shapes"]
    points = np.array(shapes[0]["points"])
    x, y = points.T
    area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    assert area == pytest.approx(whole.masks.sum(), rel=0.05)


@pytest.mark.parametrize("scale", [1.0, 2.0, 0.5, 1.7])
def test_drawn(pair, scale):
    """A scaled mask is the nearest pixels of the mask: it differs from the scaled grid's only
    along the outline."""
    picture = np.full((*SIZE, 3), 90, "uint8")
    plain, outlined = (
        draw_detections(picture, found, boxes=False, labels=False, scale=scale) for found in pair
    )
    assert plain.shape == outlined.shape
    differ = (plain != outlined).any(axis=-1)
    if scale == 1:
        assert not differ.any()
    assert differ.mean() < 0.1
    assert Image.fromarray(outlined).size == (round(50 * scale), round(40 * scale))


def test_empty_outline():
    found = Detections([[0, 0, 1, 1]], [0], [0.5], None, SIZE, outlines=[Bitmap(np.zeros((0, 0)))])
    assert not found.masks.any() and coco_mask.area(found.rles()[0]) == 0
    assert not found.label_map().any()


def test_refusals():
    arguments = (BOXES[:1], [0], [0.5])
    with pytest.raises(ValueError, match="one for each of the 1 boxes.*Received: 2 outlines"):
        Detections(*arguments, None, SIZE, outlines=[Bitmap(DISC)] * 2)
    with pytest.raises(ValueError, match="1 outlines beside mask_probabilities"):
        Detections(*arguments, np.ones((1, 28, 28)), SIZE, outlines=[Bitmap(DISC)])
    assert not Detections(*arguments, None, SIZE).has_masks
