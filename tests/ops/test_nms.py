"""NMS against torchvision's recordings."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from keras_maskrcnn.ops import nms

CASES = [
    "random",
    "ties_scores",
    "ties_boxes",
    "integer_grid",
    "all_equal_score",
    "zero_area",
    "near_threshold",
]


@functools.cache
def _loop(iou_threshold, max_output, score_threshold):
    """In a graph, which a loop of a thousand turns needs; one for boxes of any number."""

    def run(boxes, scores, groups):
        limits = (iou_threshold, max_output, score_threshold)
        return nms.batched_nms(boxes, scores, groups, *limits, looped=True)

    shapes = ([None, None, 4], "float32"), ([None, None], "float32"), ([None, None], "int32")
    return tf.function(run, [tf.TensorSpec(*shape) for shape in shapes], autograph=False)


def _looped_nms(boxes, scores, groups, iou_threshold, max_output, score_threshold=-np.inf):
    # One graph for all that are to give everything.
    slots = max_output if max_output < 20 else 1500
    return _loop(iou_threshold, slots, score_threshold)(boxes, scores, groups)


@pytest.fixture(params=[nms.batched_nms, _looped_nms], ids=["op", "loop"])
def batched_nms(request):
    """By TensorFlow's op, and by the loop that takes its place under XLA."""
    return request.param


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("threshold", ["0.3", "0.5", "0.7"])
def test_equals_torchvision(golden, batched_nms, case, threshold):
    data = golden("nms")
    boxes, scores = data[f"{case}_boxes"], data[f"{case}_scores"]
    groups = np.zeros((1, len(boxes)), "int32")
    index, count = batched_nms(boxes[None], scores[None], groups, float(threshold), len(boxes))
    np.testing.assert_array_equal(index[0][: count[0]], data[f"{case}_keep_{threshold}"])


@pytest.mark.parametrize("threshold", ["0.5", "0.7"])
@pytest.mark.parametrize("case", ["b_small", "b_large"])
def test_groups_equal_torchvision(golden, batched_nms, case, threshold):
    data = golden("nms")
    boxes, scores = data[f"{case}_boxes"], data[f"{case}_scores"]
    groups = data[f"{case}_idxs"][None].astype("int32")
    index, count = batched_nms(boxes[None], scores[None], groups, float(threshold), len(boxes))
    got, expected = index.numpy()[0][: count[0]], data[f"{case}_keep_{threshold}"]
    if case == "b_small":
        np.testing.assert_array_equal(got, expected)
    else:  # torchvision's order of ties is unstable above 1000 boxes: compare sets
        assert set(got) == set(expected)
        assert (np.diff(scores[got]) <= 0).all()


def test_batch_limits_and_score_threshold_by_hand(batched_nms):
    boxes = np.array(
        [[[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]], [[0, 0, 1, 1]] * 3], "float32"
    )
    scores = np.array([[0.5, 0.9, 0.1], [0.2, 0.05, 0.05]], "float32")
    groups = np.array([[0, 0, 0], [0, 1, 2]], "int32")
    index, count = batched_nms(boxes, scores, groups, 0.5, 4, score_threshold=0.05)
    np.testing.assert_array_equal(count, [2, 1])
    np.testing.assert_array_equal(index[0], [1, 2, 0, 0])
    groups = np.array([[0, 1, 0], [0, 1, 2]], "int32")  # apart: the first two no longer meet
    _, count = batched_nms(boxes, scores, groups, 0.5, 2)
    np.testing.assert_array_equal(count, [2, 2])


def test_known_batch_needs_no_loop():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 40, (3, 30, 2)).astype("float32")
    boxes = np.concatenate([corners, corners + rng.uniform(5, 20, (3, 30, 2))], 2, dtype="float32")
    scores = rng.uniform(size=(3, 30)).astype("float32")
    groups = rng.integers(0, 2, (3, 30)).astype("int32")
    graphs = {
        batch: tf.function(
            lambda boxes, scores, groups: nms.batched_nms(boxes, scores, groups, 0.5, 25, 0.2),
            input_signature=[
                tf.TensorSpec([batch, 30, 4]),
                tf.TensorSpec([batch, 30]),
                tf.TensorSpec([batch, 30], tf.int32),
            ],
        )
        for batch in (3, None)
    }
    loops = {
        batch: sum(
            "While" in op.type for op in graph.get_concrete_function().graph.get_operations()
        )
        for batch, graph in graphs.items()
    }
    assert loops == {3: 0, None: 1}
    (index, count), (looped_index, looped_count) = (
        graph(boxes, scores, groups) for graph in graphs.values()
    )
    assert 0 < count.numpy().min() < count.numpy().max() <= 25
    np.testing.assert_array_equal(index, looped_index)
    np.testing.assert_array_equal(count, looped_count)


def test_many_classes_do_not_blur_coordinates(batched_nms):
    # IoU .50007 in the last of 90 classes, in a picture of 1333 pixels: one row of classes would
    # round the second box by 6 thousandths, and keep it.
    boxes = [[0, 0, 1333, 1333], [100, 100, 120, 110], [106.6655, 100, 126.6655, 110]]
    scores = np.array([[0.9, 0.8, 0.7]], "float32")
    groups = np.array([[0, 89, 89]], "int32")
    _, count = batched_nms(np.array([boxes], "float32"), scores, groups, 0.5, 3)
    np.testing.assert_array_equal(count, [2])


def test_groups_never_meet(batched_nms):
    boxes = np.tile(np.array([-5, -5, 40, 20], "float32"), (1, 12, 1))
    scores = np.linspace(1, 0.5, 12, dtype="float32")[None]
    _, count = batched_nms(boxes, scores, np.arange(12, dtype="int32")[None], 0.0, 12)
    np.testing.assert_array_equal(count, [12])


def test_xla_compiles_the_loop(golden):
    data = golden("nms")
    boxes, scores = data["ties_scores_boxes"][None], data["ties_scores_scores"][None]
    groups = np.zeros(scores.shape, "int32")

    def run():
        return nms.batched_nms(boxes, scores, groups, 0.5, scores.shape[1], looped=True)

    index, count = tf.function(run, jit_compile=True)()
    np.testing.assert_array_equal(index[0][: count[0]], data["ties_scores_keep_0.5"])
