"""Keypoints from heat maps, with the score of either library."""

import numpy as np
import pytest

from keras_maskrcnn.layers.keypoint_decode_layer import KeypointDecodeLayer


def test_scores_by_hand():
    maps = np.zeros((1, 2, 2, 1), "float32")
    maps[0, 1, 0] = np.log(5)
    roi = np.array([[4, 6, 6, 8]], "float32")  # one pixel per cell: no interpolation
    logit = KeypointDecodeLayer()(maps, roi)
    np.testing.assert_allclose(logit, [[[4.5, 7.5, np.log(5)]]], rtol=1e-6)
    probability = KeypointDecodeLayer("probability")(maps, roi)
    np.testing.assert_allclose(probability, [[[4.5, 7.5, 5 / 8]]], rtol=1e-6)


def test_config_round_trip_and_other_names():
    layer = KeypointDecodeLayer("probability")
    assert KeypointDecodeLayer.from_config(layer.get_config()).scores == "probability"
    with pytest.raises(ValueError, match=r"Received: scores='softmax'"):
        KeypointDecodeLayer("softmax")
