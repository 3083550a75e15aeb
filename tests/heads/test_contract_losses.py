"""What every RoI head owes of targets, losses and results; see `test_contract.py`."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from head_cases import CASES, NO_ROIS, ROIS, dtypes, flat, make, said, targets

from keras_maskrcnn.heads import MaskRoIHead
from keras_maskrcnn.losses import only_replica


def test_losses_results_and_their_shapes(name):
    head = make(name)
    predictions = said(head)
    losses = head.losses(predictions, targets(head), only_replica)
    assert tuple(losses) == head.loss_names
    assert {x.shape for x in losses.values()} == {()} and dtypes(losses) == {"float32"}
    results = head.decode(predictions, ROIS.boxes)
    assert results and {x.shape[0] for x in results.values()} == {3}
    assert dtypes(results) == {"float32"} and all(np.isfinite(x).all() for x in flat(results))
    assert head.pooler.name == f"{head.name}_align" and head.pooler.strides == (4, 8)


def test_ignorance_costs_what_it_should_and_the_answer_nothing(name):
    head, case = make(name), CASES[name]
    wanted = targets(head)
    nothing = tf.fill(said(head).shape, tf.constant(case.silence, "float32"))
    losses = head.losses(nothing, wanted, only_replica)
    assert float(losses[head.loss_names[0]]) == pytest.approx(case.ignorance, rel=1e-5)
    answer = case.answer(wanted).astype("float32")
    assert answer.shape == nothing.shape
    losses = head.losses(tf.constant(answer), wanted, only_replica)
    assert 0 <= float(losses[head.loss_names[0]]) < 1e-6
    # Counts of all replicas: with as much on another one, half the loss is this one's.
    halves = head.losses(nothing, wanted, lambda count: 2 * count)
    assert float(halves[head.loss_names[0]]) == pytest.approx(case.ignorance / 2, rel=1e-5)


def test_what_was_learned_is_what_is_found(name):
    """Targets, said as predictions and decoded, are the ground truth again."""
    head, truth = make(name), CASES[name].truth()
    (found,) = flat(head.decode(tf.constant(CASES[name].answer(targets(head))), ROIS.boxes))
    own = flat(ROIS.take(tf.constant(next(iter(truth.values())))))[0]
    if isinstance(head, MaskRoIHead):
        # The RoIs are the objects' boxes: every 14th pixel of a crop, in the middle of a cell.
        np.testing.assert_allclose(found, own[:, 7::14, 7::14] / 255.0, atol=1e-6)
    else:
        assert found.shape == own.shape
        boxes = ROIS.boxes.numpy()
        cell = (boxes[:, 2:] - boxes[:, :2]) / 8
        off = np.abs(found[..., :2] - own[..., :2]) / cell[:, None]
        assert (off[own[..., 2] > 0] < 1).all()


def test_it_learns(name):
    """A few steps on one batch."""
    head = make(name)
    wanted = targets(head)
    said(head)  # makes the weights
    variables = head.head.trainable_variables
    optimizer = keras.optimizers.Adam(0.02)
    history = []
    for _ in range(20):
        with tf.GradientTape() as tape:
            (loss,) = head.losses(said(head), wanted, only_replica).values()
        optimizer.apply(tape.gradient(loss, [w.value for w in variables]), variables)
        history.append(float(loss))
    assert history[-1] < 0.7 * history[0]


def test_no_object_costs_exactly_nothing(name):
    head = make(name)
    said(head)  # makes the weights
    variables = [w.value for w in head.head.trainable_variables]
    for truth in (CASES[name].truth(), {k: v[:, :0] for k, v in CASES[name].truth().items()}):
        with tf.GradientTape() as tape:
            predictions = said(head, 0)
            losses = head.losses(predictions, targets(head, NO_ROIS, truth), only_replica)
            total = sum(losses.values())
        assert [float(x) for x in losses.values()] == [0.0] * len(head.loss_names)
        gradients = [g for g in tape.gradient(total, variables) if g is not None]
        assert gradients and all(np.all(g == 0) for g in flat(gradients))
        assert {x.shape[0] for x in head.decode(predictions, NO_ROIS.boxes).values()} == {0}


def test_padding_changes_nothing(name):
    """Rows of ground truth that no RoI lies on, pictures without RoIs, and more RoIs."""
    head, truth = make(name), CASES[name].truth()
    padded = {
        k: np.pad(v, ((0, 1), (0, 3)) + ((0, 0),) * (v.ndim - 2), constant_values=7)
        for k, v in truth.items()
    }
    for one, other in zip(flat(targets(head)), flat(targets(head, ROIS, padded)), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(flat(said(head, 2)), flat(said(head, 3)), strict=True):
        np.testing.assert_allclose(one, other[:2], rtol=1e-5, atol=1e-6)
