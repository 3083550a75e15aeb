"""What every RoI head owes, whichever it is; a new one runs through this by a line in `CASES`.

The RPN and the box stage have contracts of their own: `test_rpn.py`, `test_box.py`.
"""

import dataclasses
import inspect
import json
from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_maskrcnn.heads import HEADS, HeadContext, MatchedRoIs
from keras_maskrcnn.losses import only_replica
from keras_maskrcnn.parts import setting_names

CONTEXT = {"num_classes": 3, "roi_strides": (4, 8), "seed": 1}
# Two pictures with an object of 32 x 32 and one of 40 x 24 pixels; RoIs just on them.
BOXES = np.array([[[8, 8, 40, 40], [20, 30, 60, 54]]] * 2, "float32")
ROIS = MatchedRoIs(
    boxes=tf.constant(BOXES.reshape(4, 4)[[0, 3, 2]]),
    images=tf.constant([0, 1, 1]),
    objects=tf.constant([0, 1, 0]),
    classes=tf.constant([2, 0, 1]),
)
NO_ROIS = MatchedRoIs(ROIS.boxes[:0], ROIS.images[:0], ROIS.objects[:0], ROIS.classes[:0])


def mask_truth():
    masks = np.zeros((2, 2, 112, 112), "uint8")
    masks[:, 0, :, :56] = 255  # left half
    masks[:, 1, 28:] = 255  # all but the upper quarter
    return {"masks": masks, "boxes": BOXES}


def keypoint_truth():
    points = np.full((2, 2, 3, 3), 2, "float32")
    points[:, 0, :, :2] = [[10.2, 12.1], [39.8, 8.3], [24.4, 24.6]]
    points[:, 1, :, :2] = [[20.4, 30.2], [59.4, 53.6], [41.2, 40.7]]
    points[0, 0, 1, 2] = 0  # not labelled
    return {"keypoints": points}


def keypoint_answer(targets):
    cells = np.array(targets["cells"])
    maps = np.zeros((*cells.shape, 8 * 8), "float32")
    np.put_along_axis(maps, cells[..., None], 40.0, axis=-1)
    return maps.reshape(*cells.shape, 8, 8).transpose(0, 2, 3, 1)


@dataclasses.dataclass(frozen=True)
class Case:
    """A head small enough for quick tests, and what is known of it.

    Args:
        settings: of the head, with pooled grids of side 2 to 4.
        truth: what it learns from.
        answer: from targets to the predictions that say them.
        ignorance: its loss where all predictions are 0.
    """

    settings: dict
    truth: Callable
    answer: Callable
    ignorance: float


CASES = {
    "mask": Case(
        {"convs": 1, "dim": 8, "pool_size": 4, "target_style": "binary"},
        mask_truth,
        lambda targets: 80.0 * np.array(targets) - 40.0,
        np.log(2),
    ),
    "keypoint": Case(
        {"num_keypoints": 3, "convs": 1, "dim": 8, "pool_size": 2},
        keypoint_truth,
        keypoint_answer,
        np.log(8 * 8),
    ),
}
OWN = [n for n in HEADS.names if HEADS.find(n).__module__.startswith("keras_maskrcnn")]


@pytest.fixture(params=OWN)
def name(request):
    return request.param


def make(name, dtype=None, **settings):
    head = HEADS.make({"name": name, **CASES[name].settings, **settings}, default="mask")
    head.build(HeadContext(**CONTEXT, dtype=dtype))
    return head


def features(head, count=3, channels=5):
    side = head.pool_size
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, side, side, channels)).astype("float32")


def said(head, count=3):
    return head.forward(tf.constant(features(head, 3)[:count]), ROIS.classes[:count])


def targets(head, rois=ROIS, truth=None):
    truth = CASES[_name_of(head)].truth() if truth is None else truth
    return head.targets(rois, truth, layout(head, truth))


def _name_of(head):
    return next(name for name in OWN if HEADS.find(name) is type(head))


def layout(head, truth):
    images = tf.zeros((2, 64, 96, 3))
    return head.layout({"images": images, **{k: tf.constant(v) for k, v in truth.items()}})


def flat(values):
    return [ops.convert_to_numpy(x) for x in keras.tree.flatten(values)]


def dtypes(values):
    return {keras.backend.standardize_dtype(x.dtype) for x in keras.tree.flatten(values)}


def test_every_name_is_here():
    assert set(OWN) == set(CASES)


def test_truth_is_told_and_checked(name):
    head, truth = make(name), CASES[name].truth()
    form = layout(head, truth)
    fields = head.truth(form)
    assert set(fields) == set(truth)
    assert {k: np.dtype(dtype) for k, (_, dtype) in fields.items()} == {
        k: values.dtype for k, values in truth.items()
    }
    real = np.ones((2, 2), bool)
    head.check(truth, form, real)
    head.check({k: v[:, :0] for k, v in truth.items()}, form, real[:, :0])
    for key, values in truth.items():
        with pytest.raises(ValueError, match=f"{key} of a batch must have the shape .*Received"):
            head.check({**truth, key: values[:, :1]}, form, real)
        with pytest.raises(ValueError, match=f"Received: {key} of shape"):
            head.check({**truth, key: values[..., :1]}, form, real)


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
    nothing = tf.zeros_like(said(head))
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
    if name == "mask":
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


def test_walks_in_a_graph_whose_number_of_rois_is_unknown(name):
    head, truth = make(name), CASES[name].truth()
    form = layout(head, truth)
    shapes = {"features": features(head).shape[1:], "roi_boxes": (4,)}
    integers = ("roi_images", "roi_objects", "roi_classes")
    inputs = {
        **{k: keras.Input(shape, name=k) for k, shape in shapes.items()},
        **{k: keras.Input((), dtype="int32", name=k) for k in integers},
        **{k: keras.Input(s, dtype=d, name=k) for k, (s, d) in head.truth(form).items()},
    }
    rois = MatchedRoIs(*(inputs[k] for k in ("roi_boxes", *integers)))
    predictions = head.forward(inputs["features"], rois.classes)
    model = keras.Model(
        inputs,
        {
            "results": head.decode(predictions, rois.boxes),
            "targets": head.targets(rois, inputs, form),
        },
    )
    for some in (ROIS, NO_ROIS):
        count = len(some.classes)
        given = {f"roi_{k}": v for k, v in vars(some).items()}
        given |= {"features": features(head)[:count], **truth}
        given = {k: tf.constant(v) for k, v in given.items()}
        found = tf.function(model)(given)
        expected = {
            "results": head.decode(said(head, count), some.boxes),
            "targets": targets(head, some),
        }
        for one, other in zip(flat(found), flat(expected), strict=True):
            assert one.shape == other.shape
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_targets_losses_and_results_stay_float32(name, dtype):
    full, half = make(name), make(name, dtype)
    said(full), said(half)
    half.head.set_weights(full.head.get_weights())
    predictions = half.forward(ops.cast(features(half), dtype[6:]), ROIS.classes)
    losses = half.losses(predictions, targets(half), only_replica)
    results = half.decode(predictions, ROIS.boxes)
    assert dtypes([predictions, losses, results]) == {"float32"}
    for one, other in zip(flat(targets(half)), flat(targets(full)), strict=True):
        np.testing.assert_array_equal(one, other)
    exact = full.losses(said(full), targets(full), only_replica)
    for loss, expected in zip(losses.values(), exact.values(), strict=True):
        assert float(loss) == pytest.approx(float(expected), rel=0.02)


def test_config_is_complete(name):
    head = make(name)
    written = json.loads(json.dumps(keras.saving.serialize_keras_object(head)))
    assert set(written["config"]) == set(setting_names(type(head)))
    again = keras.saving.deserialize_keras_object(written)
    assert type(again) is type(head) and again.settings == head.settings
    again.build(HeadContext(**CONTEXT))
    said(again), said(head)
    assert [w.path for w in again.head.weights] == [w.path for w in head.head.weights]
    again.head.set_weights(head.head.get_weights())
    for one, other in zip(flat(said(again)), flat(said(head)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert all(
        p.kind is p.KEYWORD_ONLY
        for p in list(inspect.signature(type(head).__init__).parameters.values())[1:]
    )


def test_what_is_wrong_is_refused_with_the_nearest_name(name):
    with pytest.raises(ValueError, match=f"Did you mean '{name}'.* Received: head='{name}e'"):
        HEADS.make(f"{name}e", default="mask")
    kind, settings = HEADS.find(name), CASES[name].settings
    for setting in setting_names(kind):
        with pytest.raises(ValueError, match=f"no setting '{setting}x'.*mean '{setting}'"):
            kind(**settings, **{f"{setting}x": 1})
    for setting in ("pool_size", "dim"):
        with pytest.raises(ValueError, match=f"Received: {setting}=0"):
            kind(**{**settings, setting: 0})
