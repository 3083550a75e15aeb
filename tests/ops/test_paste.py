"""Mask paste against detectron2's recorded output, and against a slow reading of the rule."""

import numpy as np
import pytest
from parity.integer_paste import paste_on_integers
from pycocotools import mask as coco_mask

from keras_maskrcnn.ops.paste import paste_crop, paste_masks, paste_rle
from keras_maskrcnn.outlines.rle import encode_crop

SIZE = (96, 128)


def slow_paste(mask, box, size):
    """The rule pixel by pixel in float64."""
    x1, y1, x2, y2 = (float(v) for v in box)
    side = len(mask)
    padded = np.pad(np.asarray(mask, "float64"), 1)
    out = np.zeros(size)
    for y in range(size[0]):
        for x in range(size[1]):
            u = (x + 0.5 - x1) / (x2 - x1) * side - 0.5
            v = (y + 0.5 - y1) / (y2 - y1) * side - 0.5
            if not (-1 < u < side and -1 < v < side):
                continue
            j, i = int(np.floor(u)), int(np.floor(v))
            fu, fv = u - j, v - i
            top = padded[i + 1, j + 1] * (1 - fu) + padded[i + 1, j + 2] * fu
            bottom = padded[i + 2, j + 1] * (1 - fu) + padded[i + 2, j + 2] * fu
            out[y, x] = top * (1 - fv) + bottom * fv
    return out


def whole(mask, box, size):
    left, top, values = paste_crop(mask, box, size)
    picture = np.zeros(size, "float32")
    picture[top : top + values.shape[0], left : left + values.shape[1]] = values
    return picture


def test_golden_detectron2(golden):
    inputs, reference = golden("paste_keypoints"), golden("d2_ops")
    valid = reference["paste_valid_index"]
    masks, boxes = inputs["paste_masks"][valid, 0], inputs["paste_boxes"][valid]
    bits = np.unpackbits(reference["paste_bool_packed"], axis=-1).astype(bool)
    assert bits.sum() == 21894
    np.testing.assert_array_equal(paste_masks(masks, boxes, SIZE), bits)
    for mask, box, value, bit in zip(masks, boxes, reference["paste_float"], bits, strict=True):
        np.testing.assert_allclose(whole(mask, box, SIZE), value, atol=1e-5)
        np.testing.assert_array_equal(coco_mask.decode(paste_rle(mask, box, SIZE)), bit)


@pytest.mark.parametrize("name", ["d2_mask_r50_fpn", "d2_mask_r50_c4", "d2_mask_x101_fpn"])
def test_golden_whole_models(golden, name):
    arrays = golden(name)
    bits = np.unpackbits(arrays["pasted_bits_first6"], axis=-1).astype(bool)
    masks = paste_masks(arrays["det_masks"], arrays["det_boxes"], bits.shape[1:])
    np.testing.assert_array_equal(masks[:6], bits)
    np.testing.assert_array_equal(masks.sum(axis=(1, 2)), arrays["pasted_area"])


def paste(mask, box, size):
    return paste_masks(mask[None], np.array([box], "float64"), size)[0]


def test_identity_when_box_is_the_grid():
    # A box of M pixels on whole coordinates: every pixel centre falls on a grid node.
    mask = np.random.default_rng(0).random((5, 5)).astype("float32")
    expected = np.zeros((9, 9), "float32")
    expected[2:7, 3:8] = mask
    np.testing.assert_allclose(whole(mask, (3, 2, 8, 7), (9, 9)), expected, atol=1e-6)


def test_worked_by_hand():
    # A 2-cell mask (1, 0) over pixels 2..5: u = -.75 at pixel 1, then -.25, .25, .75, 1.25; cells
    # outside the grid count as 0.
    mask = np.array([[1.0, 0.0], [1.0, 0.0]], "float32")
    left, top, values = paste_crop(mask, (2, 0, 6, 2), (2, 8))
    assert (left, top) == (0, 0)
    np.testing.assert_allclose(values[0], [0, 0.25, 0.75, 0.75, 0.25, 0, 0, 0])
    np.testing.assert_array_equal(np.flatnonzero(paste(mask, (2, 0, 6, 2), (2, 8))[0]), [2, 3])


@pytest.mark.parametrize(
    "box",
    [
        (-7.3, -4.1, 9.7, 8.2),  # Over the top left corner.
        (20.2, 14.8, 44.0, 30.0),  # Over the bottom right corner.
        (-50, -60, 90, 70),  # Larger than the picture.
        (7, 7, 8, 8),  # One pixel.
        (7.2, 7.3, 7.9, 7.6),  # Within a pixel, off its centre.
        (7.4999, 3, 7.5001, 17),  # A sliver over pixel centres.
        (3.1, 2.9, 25.4, 17.3),
    ],
)
def test_any_box_follows_the_rule(box):
    mask = np.random.default_rng(1).random((7, 7)).astype("float32")
    size = (20, 30)
    np.testing.assert_allclose(whole(mask, box, size), slow_paste(mask, box, size), atol=2e-6)


@pytest.mark.parametrize(
    "box",
    [
        (5, 5, 5, 5),
        (5, 5, 9, 5),
        (9, 5, 5, 9),
        (500, 500, 600, 600),
        (-60, -60, -50, -50),
        (np.nan, 0, 5, 5),
        (0, 0, np.inf, 5),
        (0, 0, 1e-38, 1e-38),
    ],
)
def test_boxes_that_reach_no_pixel(box):
    mask = np.ones((28, 28), "float32")
    assert not paste(mask, box, (20, 30)).any()
    rle = paste_rle(mask, np.array(box, "float64"), (20, 30))
    assert coco_mask.area(rle) == 0
    assert coco_mask.decode(rle).shape == (20, 30)


def test_huge_box_is_finite():
    values = whole(np.ones((28, 28), "float32"), (-1e7, -1e7, 1e7, 1e7), (20, 30))
    np.testing.assert_allclose(values, 1.0)


@pytest.mark.parametrize("shape", [(4, 3), (7, 3), (7, 5), (1, 1), (0, 0)])
@pytest.mark.parametrize("fill", [0.0, 0.4, 0.9, 1.0])
def test_encode_crop_equals_pycocotools(shape, fill):
    size = (7, 5)  # Crops of full height have runs that go on in the next column.
    rng = np.random.default_rng(2)
    for _ in range(10):
        crop = rng.random(shape) < fill
        top = int(rng.integers(size[0] - shape[0] + 1))
        left = int(rng.integers(size[1] - shape[1] + 1))
        picture = np.zeros(size, np.uint8)
        picture[top : top + shape[0], left : left + shape[1]] = crop
        expected = coco_mask.encode(np.asfortranarray(picture))
        received = encode_crop(crop, left, top, size)
        assert (received.size, received.counts) == (size, expected["counts"])


def test_no_masks():
    assert paste_masks(np.zeros((0, 28, 28)), np.zeros((0, 4)), (6, 5)).shape == (0, 6, 5)


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="Received: masks of shape"):
        paste_masks(np.zeros((2, 28, 28)), np.zeros((3, 4)), SIZE)
    with pytest.raises(ValueError, match="threshold=0"):
        paste_masks(np.zeros((2, 28, 28)), np.zeros((2, 4)), SIZE, threshold=0)


def test_float_boxes_by_hand_beside_torchvision_s_integers():
    """A row of pixels under a mask that is full: from 2.6 to 6.4 are 3.8 pixels."""
    mask, box = np.ones((28, 28), "float32"), np.array([2.6, 0, 6.4, 4])
    row = paste(mask, box, (4, 10))[2]
    # The centres within: 3.5, 4.5, 5.5.
    np.testing.assert_array_equal(np.flatnonzero(row), [3, 4, 5])
    # With its rim the box spans 2.46..6.54, cut to 2..6; the last pixel is counted in.
    (theirs,) = paste_on_integers(mask[None], box[None], (4, 10))
    np.testing.assert_array_equal(np.flatnonzero(theirs[2] >= 0.5), [2, 3, 4, 5, 6])
