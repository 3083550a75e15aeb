"""RoIAlign's tests run for every implementation and device."""

import pytest
import tensorflow as tf

from keras_maskrcnn.ops.roi_align import roi_align_backend


@pytest.fixture(params=["CPU", *(["GPU"] if tf.config.list_physical_devices("GPU") else [])])
def device(request):
    """The device that TensorFlow uses in the test."""
    with tf.device(request.param):
        yield request.param


@pytest.fixture(params=["compiled", "reference", "gather"])
def backend(request, device):
    """Name of an implementation."""
    if request.param == "compiled" and roi_align_backend() != "compiled":
        pytest.skip("the compiled op is not available here")
    return request.param
