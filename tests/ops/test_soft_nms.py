"""Soft-NMS: the paper's loop, written plainly; TensorFlow's own op; and numbers by hand."""

import numpy as np
import pytest
import tensorflow as tf

from keras_maskrcnn.ops.soft_nms import gaussian_decay, linear_decay, soft_nms


def overlap(a, b):
    sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    areas = [np.prod(box[2:] - box[:2]) for box in (a, b)]
    return np.prod(sides) / (sum(areas) - np.prod(sides))


def plain_loop(boxes, scores, groups, decay, max_output, threshold):
    """Figure 2 of the paper, group by group as detectors apply it."""
    left, found = scores.astype("float64"), []
    boxes = boxes.astype("float64")
    while len(found) < max_output and left.max() > threshold:
        best = int(left.argmax())
        found.append((best, left[best]))
        for i in np.flatnonzero(groups == groups[best]):
            left[i] *= decay(overlap(boxes[best], boxes[i]))
        left[best] = -1
        left[[i for i, _ in found]] = -1
    return found


def scene(seed, count=60, groups=3):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 60, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 40, (count, 2))], axis=1)
    return (
        boxes.astype("float32"),
        rng.uniform(0.02, 1, count).astype("float32"),
        rng.integers(0, groups, count).astype("int32"),
    )


DECAYS = {
    "linear": (linear_decay(0.3), lambda iou: 1 - iou if iou > 0.3 else 1.0),
    "gaussian": (gaussian_decay(0.5), lambda iou: np.exp(-(iou**2) / 0.5)),
}


@pytest.mark.parametrize("kind", DECAYS)
@pytest.mark.parametrize("compiled", [False, True])
def test_equals_the_plain_loop(kind, compiled):
    decay, plain = DECAYS[kind]
    pictures = [scene(seed) for seed in range(3)]
    batch = [np.stack(values) for values in zip(*pictures, strict=True)]
    run = tf.function(soft_nms, autograph=False) if compiled else soft_nms
    index, scores, counts = (x.numpy() for x in run(*map(tf.constant, batch), decay, 40, 0.05))
    for i, picture in enumerate(pictures):
        expected = plain_loop(*picture, plain, 40, 0.05)
        assert counts[i] == len(expected) > 25
        assert index[i, : counts[i]].tolist() == [best for best, _ in expected]
        received = scores[i, : counts[i]]
        np.testing.assert_allclose(received, [score for _, score in expected], rtol=1e-5)
        assert not scores[i, counts[i] :].any() and not index[i, counts[i] :].any()


def test_gaussian_equals_tensorflows_op():
    """Whose sigma is half of the paper's: it decays by exp(-iou^2 / (2 sigma))."""
    for seed in range(3):
        boxes, scores, _ = scene(seed)
        theirs, their_scores = tf.image.non_max_suppression_with_scores(
            boxes, scores, 50, iou_threshold=1.0, score_threshold=0.05, soft_nms_sigma=0.25
        )
        index, ours, counts = soft_nms(
            boxes[None], scores[None], np.zeros((1, 60), "int32"), gaussian_decay(0.5), 50, 0.05
        )
        count = int(counts[0])
        assert index.numpy()[0, :count].tolist() == theirs.numpy().tolist()
        np.testing.assert_allclose(ours[0, :count], their_scores, rtol=1e-5)


def test_by_hand():
    # IoU of the first with the others: 1, .5 and 0.
    boxes = np.array([[[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 5], [20, 0, 30, 10]]], "float32")
    scores = np.array([[0.8, 0.8, 0.6, 0.1]], "float32")
    one, two = np.zeros((1, 4), "int32"), np.array([[0, 1, 0, 0]], "int32")
    index, found, counts = soft_nms(boxes, scores, one, linear_decay(0.4), 4, 0.0)
    # Of equal scores the first; its twin falls to nothing.
    assert index.numpy().tolist() == [[0, 2, 3, 0]] and counts.numpy().tolist() == [3]
    np.testing.assert_allclose(found, [[0.8, 0.3, 0.1, 0]], rtol=1e-6)
    # At the threshold nothing falls; other groups do not meet.
    index, found, _ = soft_nms(boxes, scores, two, linear_decay(0.5), 4, 0.0)
    assert index.numpy().tolist() == [[0, 1, 2, 3]]
    np.testing.assert_allclose(found, [[0.8, 0.8, 0.6, 0.1]], rtol=1e-6)


def test_nothing_to_choose_from():
    for count in (0, 3):
        boxes = np.zeros((2, count, 4), "float32")
        scores, groups = np.zeros((2, count), "float32"), np.zeros((2, count), "int32")
        index, found, counts = soft_nms(boxes, scores, groups, linear_decay(0.5), 5, 0.0)
        assert counts.numpy().tolist() == [0, 0]
        assert index.shape == found.shape == (2, 5) and not np.any(found)
