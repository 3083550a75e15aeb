"""RoIAlign: the same tests for every implementation, device and dtype."""

import numpy as np
import pytest
import tensorflow as tf
from roi_align_cases import (
    SCALES,
    pool,
    pool_with_gradient,
    random_pyramid,
    random_rois,
)

from keras_maskrcnn.ops.compiled import compiled_ops
from keras_maskrcnn.ops.roi_align import roi_align, roi_align_backend

RAMP = np.arange(25, dtype=np.float32).reshape(1, 5, 5, 1)  # value = 5 y + x


def test_bins_of_a_ramp_worked_by_hand(backend):
    # Box 1..3, bins 1 wide, centres 1.5 and 2.5; aligned: half a cell less. A ramp's mean over a
    # bin is its value at the centre.
    pooled = pool([RAMP], [[1, 1, 3, 3]], backend, output_size=2)
    np.testing.assert_allclose(pooled[0, :, :, 0], [[6, 7], [11, 12]], atol=1e-5)
    pooled = pool([RAMP], [[1, 1, 3, 3]], backend, output_size=2, aligned=False)
    np.testing.assert_allclose(pooled[0, :, :, 0], [[9, 10], [14, 15]], atol=1e-5)


def test_edge_value_within_one_cell_and_zero_beyond(backend):
    # One sample per bin, at x = -1.5, -0.5, 0.5 and y = 0.
    pooled = pool([RAMP + 1], [[-1.5, 0, 1.5, 1]], backend, output_size=(1, 3), sampling_ratio=1)
    np.testing.assert_allclose(pooled[0, 0, :, 0], [0, 1, 1.5], atol=1e-5)


def test_box_that_is_a_point_reads_one_place(backend):
    pooled = pool([RAMP], [[2.5, 3.5, 2.5, 3.5]], backend, output_size=3)
    np.testing.assert_allclose(pooled, np.full((1, 3, 3, 1), 17), atol=1e-5)


def test_box_of_no_size_is_one_cell_when_not_aligned(backend):
    pooled = pool([RAMP], [[2, 2, 2, 2]], backend, output_size=1, aligned=False)
    np.testing.assert_allclose(pooled.numpy().item(), 15, atol=1e-5)


def test_adaptive_sampling_has_a_sample_per_cell(backend):
    if backend == "gather":
        pytest.skip("gather takes a fixed number of samples")
    # Bins of 2.5 x 5 cells get 3 x 5 samples: their mean is the ramp at the bin's centre.
    pooled = pool([RAMP], [[0, 0, 5, 5]], backend, output_size=(1, 2), sampling_ratio=0)
    xs = [-0.5 + 2.5 * j + (np.arange(3) + 0.5) * 2.5 / 3 for j in range(2)]
    expected = [5 * 2 + np.clip(x, 0, 4).mean() for x in xs]
    np.testing.assert_allclose(pooled[0, 0, :, 0], expected, atol=1e-5)


def test_awkward_boxes(backend):
    nan, inf = np.nan, np.inf
    boxes = [[nan, 0, 3, 3], [0, 0, inf, 3], [-9e9, -9e9, -8e9, -8e9], [40, 40, 50, 50]]
    pooled = pool([RAMP], boxes, backend)
    np.testing.assert_array_equal(pooled, np.zeros((4, 7, 7, 1)))


@pytest.mark.parametrize("backend_name", ["compiled", "reference"])
def test_inverted_box_has_no_adaptive_sample(backend_name):
    if backend_name == "compiled" and roi_align_backend() != "compiled":
        pytest.skip("the compiled op is not available here")
    boxes = [[3, 3, 1, 1], [1, 1, 3, 3]]
    pooled = pool([RAMP], boxes, backend_name, sampling_ratio=0)
    assert not pooled[0].numpy().any()
    assert pooled[1].numpy().all()


@pytest.mark.parametrize("sampling_ratio", [2, 0])
def test_no_boxes(backend, sampling_ratio):
    if backend == "gather" and sampling_ratio == 0:
        pytest.skip("gather takes a fixed number of samples")
    boxes, upstream = np.zeros((0, 4)), np.zeros((0, 7, 7, 1))

    def run():
        return pool_with_gradient([RAMP], boxes, upstream, backend, sampling_ratio=sampling_ratio)

    for pooled, gradients in (run(), tf.function(run)()):
        assert pooled.shape == (0, 7, 7, 1)
        np.testing.assert_array_equal(gradients[0], np.zeros_like(RAMP))


@pytest.mark.parametrize("sampling_ratio", [1, 2, 3, 0])
@pytest.mark.parametrize("aligned", [True, False])
def test_implementations_agree(backend, sampling_ratio, aligned):
    if backend == "gather" and sampling_ratio == 0:
        pytest.skip("gather takes a fixed number of samples")
    boxes, where = random_rois()
    upstream = np.random.default_rng(2).standard_normal((40, 14, 3, 5))
    options = dict(where, scales=SCALES, output_size=(14, 3), sampling_ratio=sampling_ratio)
    results = [
        pool_with_gradient(random_pyramid(), boxes, upstream, name, aligned=aligned, **options)
        for name in (backend, "reference")
    ]
    for ours, reference in zip(*map(tf.nest.flatten, results), strict=True):
        np.testing.assert_allclose(ours, reference, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 16, 17, 67, 256])
def test_any_number_of_channels(backend, channels):
    boxes, where = random_rois(6)
    features = random_pyramid(channels=channels)
    upstream = np.random.default_rng(2).standard_normal((6, 7, 7, channels))
    together, gradients = pool_with_gradient(
        features, boxes, upstream, backend, scales=SCALES, **where
    )
    last = [feature[..., -1:] for feature in features]
    alone, last_gradients = pool_with_gradient(
        last, boxes, upstream[..., -1:], backend, scales=SCALES, **where
    )
    np.testing.assert_allclose(together[..., -1:], alone, atol=1e-6)
    for gradient, expected in zip(gradients, last_gradients, strict=True):
        np.testing.assert_allclose(gradient[..., -1:], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
@pytest.mark.parametrize("channels", [256, 66])  # rows that are aligned, and that are not
def test_results_beyond_the_caches(backend, dtype, channels):
    boxes, where = random_rois(900)
    features = random_pyramid(dtype=dtype, channels=channels)
    few = slice(0, None, 90)
    large = pool(features, boxes, backend, scales=SCALES, **where)
    where = {name: value[few] for name, value in where.items()}
    small = pool(features, boxes[few], backend, scales=SCALES, **where)
    tolerance = 1e-6 if dtype == tf.float32 else 2.0**-7
    np.testing.assert_allclose(
        tf.cast(large[few], tf.float32), tf.cast(small, tf.float32), rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16])
@pytest.mark.parametrize("channels", [5, 32])
def test_small_types_round_once(backend, dtype, channels):
    boxes, where = random_rois()
    features = random_pyramid(dtype=dtype, channels=channels)
    upstream = tf.cast(np.random.default_rng(2).standard_normal((40, 7, 7, channels)), dtype)
    small = pool_with_gradient(features, boxes, upstream, backend, scales=SCALES, **where)
    widened = [tf.cast(feature, tf.float32) for feature in features]
    full = pool_with_gradient(widened, boxes, upstream, "reference", scales=SCALES, **where)
    unit = 2.0**-8 if dtype == tf.bfloat16 else 2.0**-11
    for ours, exact in zip(tf.nest.flatten(small), tf.nest.flatten(full), strict=True):
        assert ours.dtype == dtype
        np.testing.assert_allclose(tf.cast(ours, tf.float32), exact, rtol=unit * 1.01, atol=1e-5)


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16])
def test_special_values_pass_through_small_types(backend, dtype):
    values = [1e-7, -3e-6, 65504.0, -0.0, np.inf, -np.inf, np.nan, 1 / 3]
    feature = tf.cast(np.array(values, np.float32).reshape(1, 1, 1, 8), dtype)
    pooled = pool([feature], [[0.5, 0.5, 0.5, 0.5]], backend, output_size=1, sampling_ratio=1)
    expected = tf.cast(feature, tf.float32).numpy().ravel()
    finite = np.isfinite(expected)
    result = tf.cast(pooled, tf.float32).numpy().ravel()
    np.testing.assert_array_equal(result[finite], expected[finite])
    assert not np.isfinite(result[~finite]).any()


def test_numeric_gradient(backend):
    boxes, where = random_rois(6, images=1)
    features = random_pyramid(images=1, channels=1, size=32)
    weights = tf.constant(np.random.default_rng(3).standard_normal((6, 3, 3, 1)), tf.float32)

    @tf.function
    def pooled_sum(*features):
        pooled = pool(features, boxes / 4, backend, scales=SCALES, output_size=3, **where)
        return tf.reduce_sum(pooled * weights)

    theoretical, numeric = tf.test.compute_gradient(pooled_sum, features, delta=0.5)
    for ours, expected in zip(theoretical, numeric, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_gradient_is_deterministic_and_loses_nothing(backend, device):
    # Many boxes on the same cells, where racing threads would drop contributions.
    boxes = np.array([[10, 10, 60, 60]], np.float32) + np.random.default_rng(0).uniform(
        -4, 4, (300, 4)
    ).astype(np.float32)
    features = [tf.zeros((1, 32, 32, 64))]
    upstream = np.ones((300, 7, 7, 64), np.float32)
    gradients = [
        pool_with_gradient(features, boxes, upstream, backend, scales=[0.25])[1][0].numpy()
        for _ in range(3)
    ]
    # Neither cuSPARSE nor TensorFlow's sum over segments has one order of a sum there.
    tolerance = 1e-6 if device == "GPU" and backend != "compiled" else 0
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=tolerance)
    np.testing.assert_allclose(gradients[0], gradients[2], rtol=tolerance)
    np.testing.assert_allclose(gradients[0].sum(), upstream.sum(), rtol=1e-5)


@pytest.mark.parametrize("sampling_ratio", [2, 0])
def test_reference_has_no_more_entries_than_elements(sampling_ratio, monkeypatch):
    # Which cuSPARSE refuses: here each bin reads the map's one cell 16 times.
    made = []
    make = tf.raw_ops.SparseTensorToCSRSparseMatrix

    def record(*, indices, values, dense_shape):
        made.append((len(values), *dense_shape.numpy()))
        return make(indices=indices, values=values, dense_shape=dense_shape)

    monkeypatch.setattr(tf.raw_ops, "SparseTensorToCSRSparseMatrix", record)
    boxes, upstream = np.array([[0, 0, 40, 40]] * 3), np.ones((3, 2, 2, 5))
    pooled, (gradient,) = pool_with_gradient(
        [np.full((1, 1, 1, 5), 2.0, "float32")], boxes, upstream, "reference",
        scales=[0.25], output_size=2, sampling_ratio=sampling_ratio, aligned=False,
    )  # fmt: skip
    assert len(made) == 2
    for entries, rows, columns in made:
        assert entries > rows
        assert entries <= rows * columns
    # Linear in the one cell, whose value is 2.
    np.testing.assert_allclose(2 * gradient.numpy().sum(), pooled.numpy().sum(), rtol=1e-6)


def test_unknown_shapes_in_a_graph(backend):
    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, None, 5)),
            tf.TensorSpec((None, 4)),
            tf.TensorSpec((None,), tf.int32),
        ]
    )
    def graph(feature, boxes, images):
        pooled = roi_align(
            [feature],
            boxes,
            images,
            tf.zeros_like(images),
            output_size=7,
            scales=[0.25],
            backend=backend,
        )
        return pooled, tf.gradients(pooled, feature)[0]

    feature = random_pyramid()[0]
    boxes, where = random_rois(9)
    pooled, gradient = graph(feature, boxes, where["images"])
    expected = pool([feature], boxes, "reference", scales=[0.25], images=where["images"])
    np.testing.assert_allclose(pooled, expected, atol=1e-5)
    assert gradient.shape == feature.shape
    assert graph.get_concrete_function().output_shapes[0].as_list() == [None, 7, 7, 5]


@pytest.mark.parametrize("sampling_ratio", [2, 0])
def test_reference_can_be_saved_and_served(tmp_path, sampling_ratio):
    class Server(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, None, None, 5)), tf.TensorSpec((None, 4))])
        def serve(self, feature, boxes):
            zeros = tf.zeros(tf.shape(boxes)[:1], tf.int32)
            return roi_align(
                [feature],
                boxes,
                zeros,
                zeros,
                output_size=7,
                scales=[0.25],
                sampling_ratio=sampling_ratio,
                backend="reference",
            )

    server, feature = Server(), random_pyramid(1)[0]
    boxes = random_rois(9)[0]
    tf.saved_model.save(server, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    # Not the same bits: on a GPU, cuSPARSE has no one order of a sum.
    np.testing.assert_allclose(
        loaded.serve(feature, boxes), server.serve(feature, boxes), rtol=1e-5, atol=1e-6
    )
    ops = {node.op for node in loaded.serve.concrete_functions[0].graph.as_graph_def().node}
    assert not [op for op in ops if "Maskrcnn" in op or "PyFunc" in op]


def test_gather_compiles_with_xla():
    boxes, where = random_rois(9)
    features = random_pyramid()

    def run(*features):
        return pool(features, boxes, "gather", scales=SCALES, **where)

    compiled = tf.function(run, jit_compile=True)(*features)
    np.testing.assert_allclose(compiled, run(*features), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("error", "message", "change"),
    [
        (ValueError, "one scale", {"scales": [0.25]}),
        (ValueError, "1 to 8 levels", {"features": []}),
        (ValueError, "1 to 8 levels", {"features": [RAMP] * 9, "scales": [1.0] * 9}),
        (TypeError, "float64", {"features": [RAMP.astype(np.float64)], "scales": [1.0]}),
        (ValueError, "channels last", {"features": [RAMP[0]], "scales": [1.0]}),
        (ValueError, "output_size=0", {"output_size": 0}),
        (ValueError, "sampling_ratio=-1", {"sampling_ratio": -1}),
        # Without boxes: should it not be refused, it would take gigabytes.
        (ValueError, "up to 1024.*=1025", {"sampling_ratio": 1025, "boxes": np.zeros((0, 4))}),
        (ValueError, "x1 y1 x2 y2", {"boxes": np.zeros((3, 5))}),
        (ValueError, "backend='cuda'", {"backend": "cuda"}),
    ],
)
def test_errors_say_what_was_expected(error, message, change):
    arguments = {"features": [RAMP, RAMP], "boxes": np.zeros((3, 4)), "backend": "reference"}
    arguments |= {"scales": [1.0, 0.5]} | change
    with pytest.raises(error, match=message):
        pool(**arguments)


def test_op_refuses_samples_whose_number_could_overflow():
    if roi_align_backend() != "compiled":
        pytest.skip("the compiled op is not available here")
    ops, rois = compiled_ops(), {"boxes": [[0.0, 0.0, 0.0, 0.0]], "batch_indices": [0]}
    rois |= {"levels": [0], "scales": [1.0], "aligned": True}

    def forward(sampling_ratio):
        return ops.maskrcnn_roi_align(
            features=[RAMP], output_height=1, output_width=1, sampling_ratio=sampling_ratio, **rois
        )

    # A box of no size at the corner: all samples lie half a cell outside, where the edge holds.
    np.testing.assert_allclose(forward(1024), [[[[0]]]])
    message = "sampling_ratio must be 0 .adaptive. to 1024 .*sampling_ratio=1025"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        forward(1025)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        ops.maskrcnn_roi_align_gradient(
            upstream=np.ones((1, 1, 1, 1), np.float32),
            shapes=[[1, 5, 5, 1]],
            sampling_ratio=1025,
            **rois,
        )


@pytest.mark.parametrize("where", [{"images": [0, 2]}, {"levels": [0, 4]}, {"levels": [-1, 0]}])
def test_index_out_of_range(backend, device, where):
    if device == "GPU":
        pytest.skip("a GPU kernel cannot raise: such a box pools to zero")
    rois = {"images": [0, 0], "levels": [0, 0]} | where
    with pytest.raises(tf.errors.InvalidArgumentError):
        pool(random_pyramid(), np.zeros((2, 4)), backend, scales=SCALES, **rois)


def test_environment_variable_chooses(monkeypatch):
    monkeypatch.setenv("KERAS_MASKRCNN_ROI_ALIGN", "reference")
    assert roi_align_backend() == "reference"
    assert roi_align_backend("gather") == "gather"
    monkeypatch.setenv("KERAS_MASKRCNN_ROI_ALIGN", "fast")
    with pytest.raises(ValueError, match="KERAS_MASKRCNN_ROI_ALIGN='fast'"):
        roi_align_backend()
