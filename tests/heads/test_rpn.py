"""What an RPN owes; a new one runs through this by its registration."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_maskrcnn.heads import RPNS
from keras_maskrcnn.layers.box_limits import Coordinates
from keras_maskrcnn.losses import only_replica
from keras_maskrcnn.parts import setting_names

OWN = [n for n in RPNS.names if RPNS.find(n).__module__.startswith("keras_maskrcnn")]
SETTINGS = {
    "anchor_sizes": ((16,), (32,)),
    "anchor_ratios": (0.5, 1.0),
    "samples": 4096,  # more than there are: nothing is left to chance
    "proposals_train": 30,
    "proposals_test": 20,
}
STRIDES, CHANNELS = (4, 8), 6
ANCHORS = 2 * (16 * 24 + 8 * 12)
IMAGES = tf.zeros((2, 64, 96, 3))
SIZES = np.array([[64, 96], [60, 80]], "int32")
# One object in the first picture, two in the second.
BOXES = np.array([[[8, 8, 26, 24], [0, 0, 0, 0]], [[20, 10, 50, 42], [60, 40, 76, 58]]], "float32")
CLASSES = np.array([[1, -1], [0, 2]], "int32")
NO_CROWD = np.zeros((2, 1, 4), "float32")
NOTHING = np.zeros_like(BOXES), np.full_like(CLASSES, -1)


@pytest.fixture(params=OWN)
def kind(request):
    return RPNS.find(request.param)


def built(kind, dtype=None, **changes):
    rpn = kind(**{**SETTINGS, **changes})
    rpn.build(STRIDES, CHANNELS, 1, dtype)
    return rpn


def maps():
    rng = np.random.default_rng(0)
    shapes = [(2, 64 // stride, 96 // stride, CHANNELS) for stride in STRIDES]
    return [tf.constant(rng.normal(size=shape), "float32") for shape in shapes]


def propose(rpn, features=None, training=True):
    features = maps() if features is None else features
    return rpn.propose(IMAGES, features, SIZES, Coordinates("continuous"), training=training)


def outputs(rpn, boxes=BOXES, classes=CLASSES, crowds=NO_CROWD):
    return rpn.training_outputs(propose(rpn), boxes, classes, crowds)


def values(losses):
    return [float(loss) for loss in losses.values()]


def test_what_it_says_and_its_shapes(kind):
    rpn = built(kind)
    for training, count in ((True, 30), (False, 20)):
        said = propose(rpn, training=training)
        assert [x.shape for x in said.logits] == [(2, 2 * 16 * 24), (2, 2 * 8 * 12)]
        assert [x.shape for x in said.deltas] == [(2, 2 * 16 * 24, 4), (2, 2 * 8 * 12, 4)]
        assert [x.shape for x in said.anchors] == [(1, 2 * 16 * 24, 4), (1, 2 * 8 * 12, 4)]
        assert said.boxes.shape == (2, count, 4) and said.valid.shape == (2, count)
        boxes, valid = np.array(said.boxes), np.array(said.valid)
        assert valid.any() and np.all(boxes[~valid] == 0)
        assert np.all(boxes >= 0) and np.all(boxes <= np.tile(SIZES[:, None, ::-1], 2))
    found = outputs(rpn)
    assert {k: tuple(v.shape) for k, v in found.items()} == {
        **dict.fromkeys(("logits", "labels"), (2, ANCHORS)),
        **dict.fromkeys(("deltas", "target_deltas"), (2, ANCHORS, 4)),
    }
    assert tuple(rpn.losses(found, only_replica)) == rpn.loss_names
    assert {x.shape for x in rpn.losses(found, only_replica).values()} == {()}


def test_ignorance_costs_what_it_should_and_the_answer_nothing(kind):
    rpn = built(kind)
    found = outputs(rpn)
    labels = np.array(found["labels"])
    assert (labels == 1).any(axis=1).all() and (labels == 0).any()
    silent = {**found, "logits": tf.zeros((2, ANCHORS)), "deltas": found["target_deltas"]}
    # ln 2 for each that is sampled, over as many as should be, for two pictures.
    expected = np.log(2) * (labels >= 0).sum() / (2 * 4096)
    assert values(rpn.losses(silent, only_replica)) == pytest.approx([expected, 0.0], rel=1e-5)
    halves = rpn.losses(silent, lambda count: 2 * count)
    assert values(halves) == pytest.approx([expected / 2, 0.0], rel=1e-5)
    # Each of four deltas off by 1: |x| - beta / 2, for every positive.
    off = {**silent, "deltas": found["target_deltas"] + 1.0}
    expected = 4 * (labels == 1).sum() * (1 - rpn.beta / 2) / (2 * 4096)
    assert values(rpn.losses(off, only_replica))[1] == pytest.approx(expected, rel=1e-4)
    answer = {**silent, "logits": tf.constant(np.where(labels == 1, 50.0, -50.0), "float32")}
    assert values(rpn.losses(answer, only_replica)) == pytest.approx([0.0, 0.0], abs=1e-6)


def test_what_was_learned_is_what_is_proposed(kind):
    """Targets, said as predictions: the first proposals are the objects."""
    rpn = built(kind)
    said, found = propose(rpn), outputs(rpn)
    ends = np.cumsum([x.shape[1] for x in said.logits])[:-1]
    logits = np.where(np.array(found["labels"]) == 1, 50.0, -50.0).astype("float32")
    boxes, _, valid = rpn.proposals(
        [tf.constant(x) for x in np.split(logits, ends, axis=1)],
        [tf.constant(x) for x in np.split(np.array(found["target_deltas"]), ends, axis=1)],
        said.anchors,
        SIZES,
        training=True,
    )
    for image, (own, classes) in enumerate(zip(BOXES, CLASSES, strict=True)):
        real = np.array(boxes)[image][np.array(valid)[image]]
        for box in own[classes >= 0]:
            assert np.abs(real[:4] - box).max(axis=1).min() < 1e-3


def test_no_object_has_no_boxes_to_learn(kind):
    rpn = built(kind)
    propose(rpn)  # makes the weights
    variables = [w.value for w in rpn.head.trainable_variables]
    everywhere = np.array([[[0, 0, 400, 400]]] * 2, "float32") - 100
    for crowds, all_is_ignored in ((NO_CROWD, False), (everywhere, True)):
        with tf.GradientTape() as tape:
            losses = rpn.losses(outputs(rpn, *NOTHING, crowds), only_replica)
            total = sum(losses.values())
        class_loss, box_loss = values(losses)
        assert box_loss == 0.0 and np.isfinite(class_loss)
        assert (class_loss == 0.0) == all_is_ignored
        gradients = [np.array(g) for g in tape.gradient(total, variables) if g is not None]
        assert gradients and all(np.isfinite(g).all() for g in gradients)
        assert any(g.any() for g in gradients) != all_is_ignored


def test_padding_changes_nothing(kind):
    """More rows that are no objects, more empty crowd regions, a picture beside it."""
    rpn = built(kind)
    found = outputs(rpn)
    padded = outputs(
        rpn,
        np.pad(BOXES, ((0, 0), (0, 3), (0, 0)), constant_values=9),
        np.pad(CLASSES, ((0, 0), (0, 3)), constant_values=-1),
        np.pad(NO_CROWD, ((0, 0), (0, 2), (0, 0))),
    )
    np.testing.assert_array_equal(found["labels"], padded["labels"])
    losses = [values(rpn.losses(x, only_replica)) for x in (found, padded)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    alone = propose(rpn, [x[:1] for x in maps()])
    np.testing.assert_allclose(alone.boxes[0], propose(rpn).boxes[0], atol=1e-3)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_coordinates_and_losses_stay_float32(kind, dtype):
    full, half = built(kind), built(kind, dtype)
    propose(full), propose(half)
    half.head.set_weights(full.head.get_weights())
    said = propose(half, [ops.cast(x, dtype[6:]) for x in maps()])
    found = half.training_outputs(said, BOXES, CLASSES, NO_CROWD)
    losses = half.losses(found, only_replica)
    numbers = [said.logits, said.deltas, said.anchors, said.boxes, found["target_deltas"], losses]
    assert {keras.backend.standardize_dtype(x.dtype) for x in keras.tree.flatten(numbers)} == {
        "float32"
    }
    exact = outputs(full)
    np.testing.assert_array_equal(found["labels"], exact["labels"])
    np.testing.assert_array_equal(found["target_deltas"], exact["target_deltas"])
    expected = values(full.losses(exact, only_replica))
    assert values(losses) == pytest.approx(expected, rel=0.01)


def test_config_is_complete(kind):
    rpn = built(kind)
    written = json.loads(json.dumps(keras.saving.serialize_keras_object(rpn)))
    assert set(written["config"]) == set(setting_names(kind))
    again = keras.saving.deserialize_keras_object(written)
    assert type(again) is kind and again.settings == rpn.settings
    again.build(STRIDES, CHANNELS, 1, None)
    propose(rpn), propose(again)
    assert [w.path for w in again.head.weights] == [w.path for w in rpn.head.weights]
    again.head.set_weights(rpn.head.get_weights())
    np.testing.assert_array_equal(propose(again).boxes, propose(rpn).boxes)
    assert built(kind, anchor_sizes=None).anchors.sizes == ((32,), (64,))  # 8 times the stride


def test_what_is_wrong_is_refused_with_the_nearest_name(kind):
    with pytest.raises(ValueError, match=r"Did you mean 'rpn'.* Received: rpn='rpm'"):
        RPNS.make("rpm", default="rpn")
    for setting in setting_names(kind):
        with pytest.raises(ValueError, match=f"no setting '{setting}x'.*mean '{setting}'"):
            kind(**{f"{setting}x": 1})
    for setting, value in (("samples", 0), ("nms_iou", 1.5), ("beta", -1), ("channels", 0)):
        with pytest.raises(ValueError, match=f"Received: {setting}={value}"):
            kind(**{setting: value})
    with pytest.raises(ValueError, match="Did you mean 'exact'.* Received: anchor_style='exac'"):
        kind(anchor_style="exac")
    with pytest.raises(ValueError, match="one tuple of sizes per level"):
        built(kind, anchor_sizes=((16,),))
