"""Keypoint decoding against torchvision's and detectron2's recordings."""

import numpy as np

from keras_maskrcnn.ops.keypoints import decode_keypoints


def test_equals_torchvision_and_detectron2(golden):
    data = golden("paste_keypoints")
    maps = data["kp_maps"].transpose(0, 2, 3, 1)
    got = np.asarray(decode_keypoints(maps, data["kp_rois"]))
    np.testing.assert_allclose(got[..., :2], data["kp_xy"][..., :2], rtol=1e-5)
    np.testing.assert_allclose(got[..., 2], data["kp_scores"], rtol=1e-5)
    np.testing.assert_allclose(got, golden("d2_ops")["kp_xy_logit_score"], rtol=1e-5, atol=1e-7)


def test_peak_by_hand():
    maps = np.full((1, 4, 4, 2), -5, "float32")
    maps[0, 1, 2, 0] = 5
    maps[0, 3, 0, 1] = 5
    roi = np.array([[10, 20, 14, 24]], "float32")  # one pixel per cell: no interpolation
    got = np.asarray(decode_keypoints(maps, roi))
    np.testing.assert_allclose(got[0, :, :3], [[12.5, 21.5, 5], [10.5, 23.5, 5]])


def test_no_rois():
    empty = decode_keypoints(np.zeros((0, 8, 8, 3), "float32"), np.zeros((0, 4), "float32"))
    assert tuple(empty.shape) == (0, 3, 4)
