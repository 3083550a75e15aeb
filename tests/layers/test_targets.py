"""Anchor, RoI and mask targets worked by hand."""

import numpy as np
import pytest

from keras_maskrcnn.layers.anchor_target_layer import AnchorTargetLayer
from keras_maskrcnn.layers.detection_target_layer import DetectionTargetLayer
from keras_maskrcnn.layers.mask_target_layer import KeypointTargetLayer, MaskTargetLayer
from keras_maskrcnn.ops.boxes import encode_boxes
from keras_maskrcnn.ops.mask_targets import masks_from_crops, masks_from_pictures

NO_CROWD = np.zeros((2, 1, 4), "float32")


def test_anchor_labels_and_deltas():
    anchors = np.array(
        [[[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 4], [50, 50, 60, 60]]], "float32"
    )
    boxes = np.array([[[0, 0, 10, 10], [0, 0, 0, 0]], [[0, 0, 0, 0]] * 2], "float32")
    classes = np.array([[2, -1], [-1, -1]], "int32")
    labels, deltas = AnchorTargetLayer()(anchors, boxes, classes, NO_CROWD)
    # IoU 1, .9, .4 (neither), 0; the second picture has no objects.
    np.testing.assert_array_equal(labels, [[1, 1, -1, 0], [0, 0, 0, 0]])
    expected = encode_boxes(boxes[0, 0], anchors[0, 1], (1, 1, 1, 1))
    np.testing.assert_allclose(deltas[0, 1], expected, rtol=1e-6)


def test_anchor_sampling_takes_half_positives_at_most():
    anchors = np.tile(np.array([[[0, 0, 10, 10]]], "float32"), (1, 300, 1))
    anchors[0, 100:] += 50
    boxes = np.array([[[0, 0, 10, 10]]], "float32")
    layer = AnchorTargetLayer(num_samples=64)
    labels, _ = layer(anchors, boxes, np.zeros((1, 1), "int32"), NO_CROWD[:1])
    assert int((np.asarray(labels) == 1).sum()) == 32
    assert int((np.asarray(labels) == 0).sum()) == 32


def _roi_targets(proposals, boxes, classes, crowds=NO_CROWD[:1], **options):
    layer = DetectionTargetLayer(num_classes=3, num_samples=8, **options)
    valid = proposals[..., 2] > proposals[..., 0]
    return [np.asarray(x) for x in layer(proposals, valid, boxes, classes, crowds)]


def test_rois_positives_first_with_their_objects():
    proposals = np.array(
        [[[40, 40, 50, 50], [0, 0, 10, 8], [20, 20, 31, 30], [0, 0, 0, 0]]], "float32"
    )
    boxes = np.array([[[20, 20, 30, 30], [0, 0, 10, 10], [0, 0, 0, 0]]], "float32")
    classes = np.array([[0, 2, -1]], "int32")
    rois, roi_classes, deltas, matched = _roi_targets(
        proposals, boxes, classes, positive_fraction=1
    )
    np.testing.assert_array_equal(roi_classes[0], [*roi_classes[0, :4], 3, -1, -1, -1])
    assert sorted(roi_classes[0, :4]) == [
        0,
        0,
        2,
        2,
    ]  # two proposals and the two objects themselves
    np.testing.assert_array_equal(rois[0, 4], [40, 40, 50, 50])
    np.testing.assert_array_equal(rois[0, 5:], np.zeros((3, 4)))
    for roi, roi_class, delta, index in zip(
        rois[0], roi_classes[0, :4], deltas[0], matched[0], strict=False
    ):
        assert classes[0, index] == roi_class
        expected = encode_boxes(boxes[0, index], roi, (10, 10, 5, 5))
        np.testing.assert_allclose(delta, expected, rtol=1e-5, atol=1e-6)


def test_a_quarter_of_the_rois_is_positive():
    proposals = np.tile(np.array([[[0, 0, 10, 10]]], "float32"), (1, 20, 1))
    proposals[0, 10:] += 40
    boxes = np.array([[[0, 0, 10, 10]]], "float32")
    _, roi_classes, _, _ = _roi_targets(proposals, boxes, np.array([[1]], "int32"))
    np.testing.assert_array_equal(roi_classes, [[1, 1, 3, 3, 3, 3, 3, 3]])


def test_pictures_without_objects_give_background_only():
    proposals = np.array([[[0, 0, 10, 10], [5, 5, 20, 20]]], "float32")
    boxes, classes = np.zeros((1, 2, 4), "float32"), np.full((1, 2), -1, "int32")
    rois, roi_classes, deltas, _ = _roi_targets(proposals, boxes, classes)
    np.testing.assert_array_equal(roi_classes, [[3, 3, -1, -1, -1, -1, -1, -1]])
    np.testing.assert_array_equal(deltas, np.zeros_like(deltas))
    assert np.isfinite(rois).all()


def test_crowds_are_background_from_a_share_that_cannot_be():
    """torchvision's and detectron2's way: they drop crowds, so that RoIs there are negatives."""
    proposals = np.array([[[0, 0, 10, 10], [40, 40, 50, 50]]], "float32")
    crowds = np.array([[[0, 0, 20, 20]]], "float32")
    boxes, classes = np.zeros((1, 1, 4), "float32"), np.full((1, 1), -1, "int32")
    for overlap, negatives in ((0.7, 1), (1.0, 1), (1.1, 2)):
        _, roi_classes, _, _ = _roi_targets(
            proposals, boxes, classes, crowds, crowd_overlap=overlap
        )
        assert (roi_classes == 3).sum() == negatives
        labels, _ = AnchorTargetLayer(crowd_overlap=overlap)(proposals, boxes, classes, crowds)
        assert (np.asarray(labels) == 0).sum() == negatives


def test_proposals_in_a_crowd_are_no_negatives():
    proposals = np.array([[[0, 0, 10, 10], [40, 40, 50, 50]]], "float32")
    crowds = np.array([[[0, 0, 20, 20]]], "float32")
    boxes, classes = np.zeros((1, 1, 4), "float32"), np.full((1, 1), -1, "int32")
    rois, roi_classes, _, _ = _roi_targets(proposals, boxes, classes, crowds)
    np.testing.assert_array_equal(roi_classes, [[3, -1, -1, -1, -1, -1, -1, -1]])
    np.testing.assert_array_equal(rois[0, 0], [40, 40, 50, 50])


def test_mask_target_of_a_shifted_roi_by_hand():
    # The object fills its box [0, 0, 8, 8]; the RoI [4, 0, 12, 8] sees it in its left half.
    crop = np.ones((1, 16, 16), "float32")
    frame = np.array([[0, 0, 8, 8]], "float32")
    roi = np.array([[4, 0, 12, 8]], "float32")
    np.testing.assert_allclose(
        masks_from_crops(crop, frame, roi, 4), [[[1, 1, 0, 0]] * 4], atol=1e-6
    )
    roi = np.array([[5, 0, 13, 8]], "float32")
    np.testing.assert_allclose(
        masks_from_crops(crop, frame, roi, 4), [[[1, 0.5, 0, 0]] * 4], atol=1e-6
    )


def test_cropped_masks_give_the_targets_of_whole_pictures():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:120, :160] + 0.5
    picture = (((x - 80) / 45) ** 2 + ((y - 60) / 30) ** 2 < 1).astype("float32")
    box = np.array([[35, 30, 125, 90]], "float32")
    crop = masks_from_pictures(picture[None], box, 112)
    for _ in range(5):
        roi = box + rng.uniform(-8, 8, (1, 4)).astype("float32")
        whole = np.asarray(masks_from_pictures(picture[None], roi, 28))
        cropped = np.asarray(masks_from_crops(crop, box, roi, 28))
        assert ((whole >= 0.5) != (cropped >= 0.5)).mean() < 0.01
        assert np.abs(whole - cropped).mean() < 0.01


@pytest.mark.parametrize("box", [(3, 4, 4, 5), (0, 0, 160, 120), (159, 119, 160, 120)])
def test_one_pixel_and_border_objects(box):
    box = np.array([box], "float32")
    crop = np.ones((1, 112, 112), "float32")
    np.testing.assert_allclose(
        masks_from_crops(crop, box, box, 28), np.ones((1, 28, 28)), rtol=1e-5
    )


def test_layer_picks_the_object_of_the_right_picture():
    masks = np.zeros((2, 2, 112, 112), "uint8")
    masks[1, 0, :56] = 255  # upper half
    boxes = np.tile(np.array([[[0, 0, 8, 8]]], "float32"), (2, 2, 1))
    rois = np.array([[0, 0, 8, 8], [0, 0, 8, 8]], "float32")
    layer = MaskTargetLayer(4, binary=True)
    targets = layer(rois, np.array([1, 0]), np.array([0, 1]), masks, boxes)
    np.testing.assert_array_equal(targets[0], [[1] * 4] * 2 + [[0] * 4] * 2)
    np.testing.assert_array_equal(targets[1], np.zeros((4, 4)))


def test_keypoint_cells_of_a_head_that_counts_pixels_of_the_picture():
    # A cell is a pixel of the input, and half one of the picture across, a quarter down.
    rois = np.array([[10, 20, 66, 76]], "float32")
    scale = np.array([[9, 9], [2, 4]], "float32")
    points = np.zeros((2, 1, 2, 3), "float32")
    points[1, 0] = [[31.5, 42.5, 2], [10.5, 42.5, 2]]
    where = rois, np.array([1]), np.array([0]), points
    cells, valid = KeypointTargetLayer(56)(*where)
    np.testing.assert_array_equal(cells, [[22 * 56 + 21, 22 * 56]])
    np.testing.assert_array_equal(valid, [[True, True]])
    # Half a pixel less there: 1 and 2 here, which moves the second point out of the RoI.
    cells, valid = KeypointTargetLayer(56, shift=0.5)(*where, scale)
    np.testing.assert_array_equal(cells, [[20 * 56 + 20, 0]])
    np.testing.assert_array_equal(valid, [[True, False]])
