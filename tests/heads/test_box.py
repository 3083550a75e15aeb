"""What a box stage owes; a new one runs through this by its registration."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_maskrcnn.heads import BOXES, Cascade, HeadContext
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
    return box.train(pool_in(dtype), LISTS, proposals, valid, objects, classes, NO_CROWD, LIMITS)


def detect(box, valid=VALID, dtype="float32"):
    return box.detect(pool_in(dtype), LISTS.select(tf.constant(PROPOSALS), valid), LIMITS)


def layers(box):
    """What looks at RoIs, stage by stage."""
    return box.heads if isinstance(box, Cascade) else [box.head]


def stages(box, outputs):
    return list(outputs.values()) if isinstance(box, Cascade) else [outputs]


def joined(box, stage_outputs):
    """Inverse of `stages`."""
    if isinstance(box, Cascade):
        return {f"stage_{i}": outputs for i, outputs in enumerate(stage_outputs, start=1)}
    (outputs,) = stage_outputs
    return outputs


def values(losses):
    return [float(loss) for loss in losses.values()]


def test_what_it_says_and_its_shapes(kind):
    box = built(kind)
    outputs, sampled = train(box)
    # Five real proposals, of which three lie on an object, and the objects themselves.
    classes = np.array(sampled.classes)
    assert classes.shape == (8,) and sorted(classes) == [0, 0, 1, 1, 2, 2, K, K]
    for stage in stages(box, outputs):
        assert {k: tuple(v.shape) for k, v in stage.items()} == {
            "class_logits": (8, K + 1),
            "deltas": (8, 1 if box.class_agnostic else K, 4),
            "classes": (8,),
            "target_deltas": (8, 4),
        }
    assert sampled.features.shape == (8, 2, 2, 5)
    own = sampled.with_objects(LISTS, box)
    for roi, owner, own_class, matched in zip(
        own.rois, own.owners.numpy(), own.classes, own.matched, strict=True
    ):
        assert CLASSES[owner, matched] == own_class
        assert np.abs(roi - OBJECTS[owner, matched]).max() <= 2
    losses = box.losses(outputs, only_replica)
    assert tuple(losses) == box.loss_names and {x.shape for x in losses.values()} == {()}


def test_ignorance_costs_what_it_should_and_the_answer_nothing(kind):
    box = built(kind)
    outputs = stages(box, train(box)[0])
    count = len(outputs)
    boxes = 1 if box.class_agnostic else K
    told = [np.repeat(np.array(x["target_deltas"])[:, None], boxes, axis=1) for x in outputs]

    def losses(total, **changes):
        """Of predictions that are changed, stage by stage."""
        rows = [dict(zip(changes, row, strict=True)) for row in zip(*changes.values(), strict=True)]
        changed = [{**x, **row} for x, row in zip(outputs, rows, strict=True)]
        found = values(box.losses(joined(box, changed), total))
        return found[0::2], found[1::2]

    zeros = [tf.zeros((8, K + 1))] * count
    class_losses, box_losses = losses(only_replica, class_logits=zeros, deltas=told)
    assert class_losses == pytest.approx([np.log(K + 1)] * count, rel=1e-5)
    assert box_losses == [0.0] * count
    halves, _ = losses(lambda total: 2 * total, class_logits=zeros, deltas=told)
    assert halves == pytest.approx([np.log(K + 1) / 2] * count, rel=1e-5)
    # Four deltas of the own class off by 1, for so many of eight RoIs; other classes do not count.
    positive = [np.mean(np.array(x["classes"]) < K) for x in outputs]
    assert positive[0] == 6 / 8
    _, found = losses(only_replica, class_logits=zeros, deltas=[x + 1 for x in told])
    expected = [share * 4 * (1 - box.beta / 2) for share in positive]
    assert found == pytest.approx(expected, rel=1e-4)
    answers, deltas = [], []
    for stage, own in zip(outputs, told, strict=True):
        answers.append(tf.one_hot(stage["classes"], K + 1) * 50.0)
        others = np.arange(K)[None, :, None] != np.array(stage["classes"])[:, None, None]
        deltas.append(own if box.class_agnostic else (own + 7 * others).astype("float32"))
    found = losses(only_replica, class_logits=answers, deltas=deltas)
    assert np.array(found) == pytest.approx(0.0, abs=1e-6)


def test_what_was_learned_is_what_is_detected(kind):
    """Targets, said as predictions of the sampled RoIs: the detections are the objects."""
    box = built(kind)
    outputs, sampled = train(box)
    outputs = stages(box, outputs)[0]
    boxes = 1 if box.class_agnostic else K
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
            tf.constant(
                np.repeat(deltas[:, :, None] * box.final_weights / box.weights, boxes, axis=2)
            ),
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
    variables = [w.value for layer in layers(box) for w in layer.trainable_variables]
    for valid in (VALID, np.zeros_like(VALID)):
        with tf.GradientTape() as tape:
            outputs, sampled = train(box, *NOTHING, valid=valid)
            losses = box.losses(outputs, only_replica)
            total = sum(losses.values())
        class_loss, box_loss = values(losses)[:2]
        assert sampled.classes.shape == (valid.sum(),)
        assert sampled.with_objects(LISTS, box).rois.shape == (0, 4)
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
    for name, expected in stages(box, outputs)[0].items():
        found = stages(box, more)[0][name]
        np.testing.assert_allclose(
            np.array(found)[other], np.array(expected)[order], atol=1e-6, err_msg=name
        )
    losses = [values(box.losses(x, only_replica)) for x in (outputs, more)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_coordinates_and_losses_stay_float32(kind, dtype):
    full, half = built(kind), built(kind, dtype)
    train(full), train(half)
    for one, other in zip(layers(half), layers(full), strict=True):
        one.set_weights(other.get_weights())
    outputs, sampled = train(half, dtype=dtype[6:])
    losses = half.losses(outputs, only_replica)
    found = detect(half, dtype=dtype[6:])
    numbers = [sampled.rois, losses, found["boxes"], found["scores"]]
    for stage in stages(half, outputs):
        numbers += [stage[name] for name in ("class_logits", "deltas", "target_deltas")]
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
    for one, other in zip(layers(again), layers(box), strict=True):
        assert [w.path for w in one.weights] == [w.path for w in other.weights]
        one.set_weights(other.get_weights())
    for one, other in zip(detect(again).values(), detect(box).values(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_wrong_is_refused_with_the_nearest_name(kind):
    with pytest.raises(ValueError, match=r"Did you mean 'box'.* Received: box='boxx'"):
        BOXES.make("boxx", default="box")
    for setting in setting_names(kind):
        with pytest.raises(ValueError, match=f"no setting '{setting}x'.*mean '{setting}'"):
            kind(**{f"{setting}x": 1})
    for setting, value in (("samples", 0), ("nms_iou", 1.5), ("beta", -1), ("dim", 0)):
        with pytest.raises(ValueError, match=f"Received: {setting}={value}"):
            kind(**{setting: value})
    with pytest.raises(ValueError, match="Did you mean 'group'.* Received: norm='groups'"):
        kind(norm="groups")


def test_rules_of_suppression_are_settings(kind):
    box = built(kind, nms="soft_gaussian", soft_sigma=0.3)
    assert (box.detections.nms, box.detections.soft_sigma) == ("soft_gaussian", 0.3)
    with pytest.raises(ValueError, match="Did you mean 'soft_linear'.*nms='soft_liner'"):
        kind(nms="soft_liner")
    with pytest.raises(ValueError, match="Received: soft_sigma=0"):
        kind(soft_sigma=0)
