"""What a box stage owes; a new one runs through this by its registration."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_maskrcnn.heads import BOXES, HeadContext
from keras_maskrcnn.layers.roi_lists import RoILists
from keras_maskrcnn.losses import only_replica
from keras_maskrcnn.parts import setting_names

OWN = [n for n in BOXES.names if BOXES.find(n).__module__.startswith("keras_maskrcnn")]
K = 3
SETTINGS = {
    "samples": 64,
    "positive_fraction": 1.0,  # as many as there are: nothing is left to chance
    "pool_size": 2,
    "dim": 8,
    "max_detections": 10,
}
LIMITS = np.array([[64, 96], [64, 96]], "int32")
# One object in the first picture, two in the second.
OBJECTS = np.array(
    [[[8, 8, 26, 24], [0, 0, 0, 0]], [[20, 10, 50, 42], [60, 40, 76, 58]]], "float32"
)
CLASSES = np.array([[1, -1], [0, 2]], "int32")
NO_CROWD = np.zeros((2, 1, 4), "float32")
NOTHING = np.zeros_like(OBJECTS), np.full_like(CLASSES, -1)
# Beside the objects, near one, and empty slots.
PROPOSALS = np.array(
    [
        [[9, 9, 27, 23], [60, 30, 90, 60], [0, 0, 0, 0]],
        [[22, 12, 52, 40], [61, 42, 75, 60], [0, 0, 16, 16]],
    ],
    "float32",
)
VALID = np.array([[True, True, False], [True, True, True]])
LISTS = RoILists()


@pytest.fixture(params=OWN)
def kind(request):
    return BOXES.find(request.param)


def built(kind, dtype=None, **changes):
    box = kind(**{**SETTINGS, **changes})
    box.build(HeadContext(num_classes=K, roi_strides=(4, 8), seed=1, dtype=dtype))
    return box


def pool_in(dtype="float32"):
    rng = np.random.default_rng(0)
    maps = [rng.normal(size=(2, 64 // stride, 96 // stride, 5)) for stride in (4, 8)]
    maps = [tf.constant(x, dtype) for x in maps]
    return lambda pooler, boxes, owners: pooler(maps, boxes, owners)


def train(box, objects=OBJECTS, classes=CLASSES, proposals=PROPOSALS, valid=VALID, dtype="float32"):
    return box.train(pool_in(dtype), LISTS, proposals, valid, objects, classes, NO_CROWD)


def detect(box, valid=VALID, dtype="float32"):
    return box.detect(pool_in(dtype), LISTS.select(tf.constant(PROPOSALS), valid), LIMITS)


def values(losses):
    return [float(loss) for loss in losses.values()]


def test_what_it_says_and_its_shapes(kind):
    box = built(kind)
    outputs, sampled = train(box)
    # Five real proposals, of which three lie on an object, and the objects themselves.
    classes = np.array(sampled.classes)
    assert classes.shape == (8,) and sorted(classes) == [0, 0, 1, 1, 2, 2, K, K]
    assert {k: tuple(v.shape) for k, v in outputs.items()} == {
        "class_logits": (8, K + 1),
        "deltas": (8, K, 4),
        "classes": (8,),
        "target_deltas": (8, 4),
    }
    assert sampled.features.shape == (8, 2, 2, 5)
    own = sampled.with_objects(LISTS, K)
    for roi, owner, own_class, matched in zip(
        own.rois, own.owners.numpy(), own.classes, own.matched, strict=True
    ):
        assert CLASSES[owner, matched] == own_class
        assert np.abs(roi - OBJECTS[owner, matched]).max() <= 2
    losses = box.losses(outputs, only_replica)
    assert tuple(losses) == box.loss_names and {x.shape for x in losses.values()} == {()}


def test_ignorance_costs_what_it_should_and_the_answer_nothing(kind):
    box = built(kind)
    outputs, _ = train(box)
    targets = np.array(outputs["target_deltas"])
    told = np.repeat(targets[:, None], K, axis=1)
    silent = {**outputs, "class_logits": tf.zeros((8, K + 1)), "deltas": tf.constant(told)}
    expected = [np.log(K + 1), 0.0]
    assert values(box.losses(silent, only_replica)) == pytest.approx(expected, rel=1e-5)
    halves = box.losses(silent, lambda count: 2 * count)
    assert values(halves) == pytest.approx([np.log(K + 1) / 2, 0.0], rel=1e-5)
    # Four deltas of the own class off by 1, for six of eight RoIs; other classes do not count.
    off = {**silent, "deltas": tf.constant(told + 1)}
    expected = 6 / 8 * 4 * (1 - box.beta / 2)
    assert values(box.losses(off, only_replica))[1] == pytest.approx(expected, rel=1e-4)
    classes = np.array(outputs["classes"])
    others = np.arange(K)[None, :, None] != classes[:, None, None]
    answer = {
        **outputs,
        "class_logits": tf.one_hot(classes, K + 1) * 50.0,
        "deltas": tf.constant(told + 7 * others, "float32"),
    }
    assert values(box.losses(answer, only_replica)) == pytest.approx([0.0, 0.0], abs=1e-6)


def test_what_was_learned_is_what_is_detected(kind):
    """Targets, said as predictions of the sampled RoIs: the detections are the objects."""
    box = built(kind)
    outputs, sampled = train(box)
    owners = np.array(sampled.owners)
    for image in range(2):
        rows = np.flatnonzero(owners == image)
        rois, classes, deltas = (
            np.array(x)[rows][None]
            for x in (sampled.rois, outputs["classes"], outputs["target_deltas"])
        )
        found = box.detections(
            rois,
            np.ones(rois.shape[:2], bool),
            tf.one_hot(classes, K + 1) * 50.0,
            tf.constant(np.repeat(deltas[:, :, None], K, axis=2)),
            LIMITS[:1],
        )
        real = CLASSES[image] >= 0
        assert int(found["counts"][0]) == real.sum()
        for own_class, own in zip(CLASSES[image][real], OBJECTS[image][real], strict=True):
            (at,) = np.flatnonzero(np.array(found["classes"])[0] == own_class)
            np.testing.assert_allclose(found["boxes"][0, at], own, atol=1e-3)


def test_detections_and_their_padding(kind):
    box = built(kind, score_threshold=0.0)
    found = detect(box)
    shapes = {"boxes": (2, 10, 4), "scores": (2, 10), "classes": (2, 10), "counts": (2,)}
    assert {k: tuple(v.shape) for k, v in found.items()} == shapes
    assert (np.array(found["counts"]) > 0).all()
    kept = np.arange(10) < np.array(found["counts"])[:, None]
    assert np.all((np.array(found["classes"]) >= 0) == kept)
    assert np.all(np.array(found["boxes"])[~kept] == 0)
    nothing = detect(box, np.zeros_like(VALID))
    assert {k: tuple(v.shape) for k, v in nothing.items()} == shapes
    assert np.all(nothing["counts"] == 0) and np.all(nothing["classes"] == -1)
    scores = box.classify(pool_in(), LISTS.select(tf.constant(PROPOSALS), VALID))
    assert scores.shape == (2, 3, K)
    assert np.all(np.array(scores)[~VALID] == 0)
    assert np.all((np.array(scores)[VALID].sum(-1) > 0) & (np.array(scores)[VALID].sum(-1) < 1))


def test_no_object_has_no_boxes_to_learn(kind):
    box = built(kind)
    train(box)  # makes the weights
    variables = [w.value for w in box.head.trainable_variables]
    for valid in (VALID, np.zeros_like(VALID)):
        with tf.GradientTape() as tape:
            outputs, sampled = train(box, *NOTHING, valid=valid)
            losses = box.losses(outputs, only_replica)
            total = sum(losses.values())
        class_loss, box_loss = values(losses)
        assert sampled.classes.shape == (valid.sum(),)
        assert sampled.with_objects(LISTS, K).rois.shape == (0, 4)
        assert box_loss == 0.0 and np.isfinite(class_loss)
        assert (class_loss > 0.0) == valid.any()
        gradients = [np.array(g) for g in tape.gradient(total, variables) if g is not None]
        assert gradients and all(np.isfinite(g).all() for g in gradients)
        assert any(g.any() for g in gradients) == valid.any()


def test_padding_changes_nothing(kind):
    """More empty slots for proposals, whatever stands there, and more rows that are no objects."""
    box = built(kind)
    outputs, sampled = train(box)
    more, padded = train(
        box,
        np.pad(OBJECTS, ((0, 0), (0, 3), (0, 0)), constant_values=9),
        np.pad(CLASSES, ((0, 0), (0, 3)), constant_values=-1),
        np.pad(PROPOSALS, ((0, 0), (0, 4), (0, 0)), constant_values=9),
        np.pad(VALID, ((0, 0), (0, 4))),
    )
    order, other = (np.lexsort(np.array(x.rois).T) for x in (sampled, padded))
    for name, expected in outputs.items():
        np.testing.assert_allclose(
            np.array(more[name])[other], np.array(expected)[order], atol=1e-6, err_msg=name
        )
    losses = [values(box.losses(x, only_replica)) for x in (outputs, more)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_coordinates_and_losses_stay_float32(kind, dtype):
    full, half = built(kind), built(kind, dtype)
    train(full), train(half)
    half.head.set_weights(full.head.get_weights())
    outputs, sampled = train(half, dtype=dtype[6:])
    losses = half.losses(outputs, only_replica)
    found = detect(half, dtype=dtype[6:])
    numbers = [outputs["class_logits"], outputs["deltas"], outputs["target_deltas"], sampled.rois]
    numbers += [losses, found["boxes"], found["scores"]]
    assert {keras.backend.standardize_dtype(x.dtype) for x in keras.tree.flatten(numbers)} == {
        "float32"
    }
    exact, _ = train(full)
    expected = values(full.losses(exact, only_replica))
    assert values(losses) == pytest.approx(expected, rel=0.01)


def test_config_is_complete(kind):
    box = built(kind, pooler={"name": "roi_align", "sampling_ratio": 1})
    assert box.pooler.sampling_ratio == 1
    written = json.loads(json.dumps(keras.saving.serialize_keras_object(box)))
    assert set(written["config"]) == set(setting_names(kind))
    again = keras.saving.deserialize_keras_object(written)
    assert type(again) is kind and again.settings == box.settings
    again.build(HeadContext(num_classes=K, roi_strides=(4, 8), seed=1))
    detect(box), detect(again)
    assert [w.path for w in again.head.weights] == [w.path for w in box.head.weights]
    again.head.set_weights(box.head.get_weights())
    for one, other in zip(detect(again).values(), detect(box).values(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_wrong_is_refused_with_the_nearest_name(kind):
    with pytest.raises(ValueError, match=r"Did you mean 'box'.* Received: box='boxx'"):
        BOXES.make("boxx", default="box")
    for setting in setting_names(kind):
        with pytest.raises(ValueError, match=f"no setting '{setting}x'.*mean '{setting}'"):
            kind(**{f"{setting}x": 1})
    for setting, value in (("samples", 0), ("iou", 1.5), ("beta", -1), ("dim", 0)):
        with pytest.raises(ValueError, match=f"Received: {setting}={value}"):
            kind(**{setting: value})
    with pytest.raises(ValueError, match="Did you mean 'group'.* Received: norm='groups'"):
        kind(norm="groups")
