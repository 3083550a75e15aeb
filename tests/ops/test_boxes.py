"""Box geometry against torchvision's recordings and numbers worked by hand."""

import numpy as np
import pytest
from keras import ops

from keras_maskrcnn.ops import boxes as box_ops


def test_iou_by_hand():
    a = np.array([[0, 0, 10, 10]], "float32")
    b = np.array([[5, 5, 15, 15], [20, 20, 30, 30], [0, 0, 10, 10], [3, 3, 3, 9]], "float32")
    np.testing.assert_allclose(box_ops.pairwise_iou(a, b), [[25 / 175, 0, 1, 0]], rtol=1e-6)


def test_intersection_over_area_is_of_the_first_box():
    box = np.array([[0, 0, 10, 10], [4, 4, 4, 4]], "float32")
    crowd = np.array([[0, 0, 5, 100]], "float32")
    np.testing.assert_allclose(
        box_ops.pairwise_intersection_over_area(box, crowd), [[0.5], [0.0]], rtol=1e-6
    )


def test_iou_equals_torchvision(golden):
    data = golden("box_coder")
    got = ops.convert_to_numpy(box_ops.pairwise_iou(data["gt"][:20], data["proposals"]))
    np.testing.assert_allclose(got, data["iou"], rtol=1e-5, atol=1e-7)
    # torchvision gives NaN for 0 / 0; ours is 0, so that such a box matches nothing.
    got = ops.convert_to_numpy(box_ops.pairwise_iou(data["small_in"], data["small_in"]))
    np.testing.assert_allclose(got, np.nan_to_num(data["iou_zero_area"]), rtol=1e-5)


@pytest.mark.parametrize(
    ("prefix", "weights"), [("w10", (10.0, 10.0, 5.0, 5.0)), ("w1", (1.0, 1.0, 1.0, 1.0))]
)
def test_box_coding_equals_torchvision(golden, prefix, weights):
    data = golden("box_coder")
    encoded = box_ops.encode_boxes(data["gt"], data["proposals"], weights)
    np.testing.assert_allclose(encoded, data[f"{prefix}_encode"], rtol=1e-5, atol=1e-5)
    codes = data[f"{prefix}_codes"].reshape(64, 3, 4)
    decoded = box_ops.decode_boxes(codes, data["proposals"][:, None], weights)
    expected = data[f"{prefix}_decode"]
    np.testing.assert_allclose(decoded, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    clipped = box_ops.clip_boxes(expected[None], np.array([[427, 499]], "int32"))[0]
    np.testing.assert_array_equal(clipped, data[f"{prefix}_decode_clipped"])


def test_coding_is_its_own_inverse_and_padding_is_harmless():
    anchors = np.array([[0, 0, 16, 32], [5, 6, 5, 6]], "float32")
    boxes = np.array([[3, 1, 40, 20], [0, 0, 0, 0]], "float32")
    weights = (10.0, 10.0, 5.0, 5.0)
    deltas = box_ops.encode_boxes(boxes, anchors, weights)
    np.testing.assert_array_equal(deltas[1], np.zeros(4))
    np.testing.assert_allclose(
        box_ops.decode_boxes(deltas, anchors, weights)[0], boxes[0], rtol=1e-5
    )


def test_decoding_clamps_the_scale():
    anchor = np.array([[0, 0, 16, 16]], "float32")
    huge = box_ops.decode_boxes(np.array([[0, 0, 100, 100]], "float32"), anchor, (1, 1, 1, 1))
    np.testing.assert_allclose(huge, [[-492, -492, 508, 508]], rtol=1e-5)


def test_levels_equal_torchvision_and_differ_from_detectron2_where_known(golden, golden_info):
    data = golden("multiscale_roi_align")
    boxes = np.concatenate([data["boxes_img0"], data["boxes_img1"]])
    levels = ops.convert_to_numpy(box_ops.assign_levels(boxes))
    np.testing.assert_array_equal(levels, data["levels"])
    # detectron2 adds 1e-8 to the side instead of 1e-6 to the logarithm.
    known = golden_info("d2_ops")["comparison_with_torchvision"][
        "levels_differ_from_torchvision_at"
    ]
    assert np.flatnonzero(levels != golden("d2_ops")["levels"]).tolist() == known


def test_levels_by_hand():
    side = np.array([0, 1, 111, 112, 223.99, 224, 448, 5000], "float32")
    boxes = np.stack([side * 0, side * 0, side, side], axis=1)
    np.testing.assert_array_equal(box_ops.assign_levels(boxes), [0, 0, 0, 1, 1, 2, 3, 3])
