"""How far boxes may reach, eagerly and in a Functional model."""

import keras
import numpy as np
import pytest

from keras_maskrcnn.layers.box_limits import BoxLimits

SIZES = np.array([[50, 64], [48, 30]], "int32")
LIMITS = {
    "continuous": (SIZES, SIZES),
    "matterport": ([[63, 95], [63, 95]], [[49, 63], [47, 29]]),
}


@pytest.mark.parametrize("style", LIMITS)
def test_limits(style):
    layer = BoxLimits(style)
    images = np.zeros((2, 64, 96, 3), "float32")
    inputs = [keras.Input((None, None, 3)), keras.Input((2,), dtype="int32")]
    model = keras.Model(inputs, list(layer(*inputs)))
    for outputs in (layer(images, SIZES), model([images, SIZES])):
        for ours, expected in zip(outputs, LIMITS[style], strict=True):
            np.testing.assert_array_equal(ours, expected)
    assert BoxLimits.from_config(layer.get_config()).style == style
