"""RoIPool against a plain computation, for both implementations."""

import numpy as np
import pytest
import tensorflow as tf

from keras_maskrcnn.ops.roi_align import roi_align_backend
from keras_maskrcnn.ops.roi_pool import roi_pool


@pytest.fixture(params=["compiled", "reference"])
def backend(request):
    if request.param == "compiled" and roi_align_backend() != "compiled":
        pytest.skip("the compiled op is not available here")
    return request.param


def plain_pool(feature, box, scale, bins):
    """Bins [bins, bins, C], loop by loop, from the definition."""
    height, width, channels = feature.shape
    x1, y1, x2, y2 = (int(np.copysign(np.floor(abs(v * scale) + 0.5), v)) for v in box)
    bin_h = np.float32(max(y2 - y1 + 1, 1)) / np.float32(bins)
    bin_w = np.float32(max(x2 - x1 + 1, 1)) / np.float32(bins)
    pooled = np.zeros((bins, bins, channels), np.float32)
    for i, j in np.ndindex(bins, bins):
        ys = [y1 + int(np.floor(i * bin_h)), y1 + int(np.ceil((i + 1) * bin_h))]
        xs = [x1 + int(np.floor(j * bin_w)), x1 + int(np.ceil((j + 1) * bin_w))]
        ys, xs = np.clip(ys, 0, height), np.clip(xs, 0, width)
        cells = feature[ys[0] : ys[1], xs[0] : xs[1]]
        if cells.size:
            pooled[i, j] = cells.max((0, 1))
    return pooled


def test_ramp_worked_by_hand(backend):
    ramp = tf.reshape(tf.range(25.0), (1, 5, 5, 1))
    # Cells 1..3: bins of 1.5 cells cover cells 1..2 and 2..3.
    box = [[1.2, 0.8, 3.4, 2.6]]
    pooled = roi_pool([ramp], box, [0], [0], output_size=2, scales=[1.0], backend=backend)
    np.testing.assert_array_equal(pooled[0, :, :, 0], [[12, 13], [17, 18]])


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16, tf.float16])
def test_equals_the_definition(backend, dtype):
    random = np.random.default_rng(0)
    maps = [tf.cast(random.standard_normal((2, n, n + 3, 19)), dtype) for n in (24, 12)]
    corner = random.uniform(-20, 90, (30, 2))
    boxes = np.concatenate([corner, corner + random.uniform(-2, 60, (30, 2))], 1).astype("f")
    images, levels = (random.integers(0, 2, 30).astype(np.int32) for _ in range(2))
    scales = [0.25, 0.125]
    pooled = roi_pool(maps, boxes, images, levels, output_size=5, scales=scales, backend=backend)
    assert pooled.dtype == dtype
    for roi, box in enumerate(boxes):
        feature = tf.cast(maps[levels[roi]][images[roi]], tf.float32).numpy()
        expected = plain_pool(feature, box, scales[levels[roi]], 5)
        np.testing.assert_array_equal(tf.cast(pooled[roi], tf.float32), expected)


def test_gradient_goes_to_the_maximum(backend):
    random = np.random.default_rng(0)
    feature = tf.constant(random.permutation(12 * 12 * 3).reshape(1, 12, 12, 3), tf.float32)
    boxes = np.array([[0, 0, 40, 40], [4, 8, 30, 44], [60, 60, 70, 70]], np.float32)
    upstream = random.standard_normal((3, 3, 3, 3)).astype(np.float32)
    zeros = np.zeros(3, np.int32)
    with tf.GradientTape() as tape:
        tape.watch(feature)
        pooled = roi_pool(
            [feature], boxes, zeros, zeros, output_size=3, scales=[0.25], backend=backend
        )
    gradient = tape.gradient(pooled, feature, upstream)
    expected = np.zeros(12 * 12 * 3, np.float32)
    cells = np.argsort(feature.numpy().ravel())  # values are distinct: value -> position
    for index in np.ndindex(2, 3, 3, 3):  # the third box lies outside
        expected[cells[int(pooled[index])]] += upstream[index]
    np.testing.assert_allclose(gradient, expected.reshape(feature.shape), atol=1e-6)
