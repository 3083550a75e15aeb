"""What every neck owes, whichever it is; a new one runs through this by its registration."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_maskrcnn.backbones import ResNet
from keras_maskrcnn.heads import BOXES, HEADS, RPNS
from keras_maskrcnn.necks import NECKS
from keras_maskrcnn.parts import setting_names

OWN = [n for n in NECKS.names if NECKS.find(n).__module__.startswith("keras_maskrcnn")]
# What keeps them small, and what is no default.
SETTINGS = {"fpn": {"channels": 32, "norm": "group", "norm_epsilon": 1e-3}, "c4": {}}
IMAGES = np.random.default_rng(0).normal(size=(1, 64, 96, 3)).astype("float32")


def maps_model(neck):
    images = keras.Input((None, None, 3))
    # As a dict: of a list of one map Keras would make that map.
    return keras.Model(images, {str(i): x for i, x in enumerate(neck.maps(images))})


def built(name, dtype=None):
    """The neck on a small backbone, and its way from pictures to maps and from RoIs to features."""
    neck = NECKS.find(name)(**SETTINGS.get(name, {}))
    neck.build(ResNet(name="resnet18", freeze_at=0), dtype)
    pooled = keras.Input((4, 4, neck.channels))
    rois = keras.Model(pooled, neck.roi_features(pooled)) if neck.roi_scale > 1 else None
    return neck, maps_model(neck), rois


@pytest.fixture(scope="module", params=OWN)
def parts(request):
    yield built(request.param)
    keras.backend.clear_session()


def arrays(found):
    return [ops.convert_to_numpy(ops.cast(x, "float32")) for x in found.values()]


@pytest.mark.parametrize("size", [(64, 96), (57, 70), (31, 33)])
def test_maps_have_the_channels_and_strides_told(parts, size):
    neck, maps, _ = parts
    found = maps(IMAGES[:, : size[0], : size[1]])
    assert [x.shape for x in found.values()] == [
        (1, *(-(-side // stride) for side in size), neck.channels) for stride in neck.rpn_strides
    ]
    assert neck.roi_strides == neck.rpn_strides[: len(neck.roi_strides)] != ()
    assert all(np.isfinite(x).all() for x in arrays(found))


def test_pictures_do_not_see_each_other(parts):
    _, maps, _ = parts
    other = IMAGES[:, ::-1] * 2
    alone, together = arrays(maps(IMAGES)), arrays(maps(np.concatenate([IMAGES, other])))
    for one, both in zip(alone, together, strict=True):
        np.testing.assert_allclose(both[:1], one, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("count", [0, 3])
def test_features_of_rois_do_not_depend_on_others(parts, count):
    """As a list, with more RoIs in it, and as slots for each picture."""
    neck, _, _ = parts
    rng = np.random.default_rng(0)
    pooled = rng.normal(size=(6, 4, 4, neck.channels)).astype("float32")
    side = 4 // neck.roi_scale
    found = ops.convert_to_numpy(neck.roi_features(tf.constant(pooled[:count])))
    assert found.shape[:3] == (count, side, side)
    whole = ops.convert_to_numpy(neck.roi_features(tf.constant(pooled)))
    np.testing.assert_allclose(found, whole[:count], rtol=1e-4, atol=1e-5)
    slots = neck.roi_features(tf.constant(pooled.reshape(2, 3, *pooled.shape[1:])))
    np.testing.assert_allclose(slots, whole.reshape(2, 3, *whole.shape[1:]), rtol=1e-4, atol=1e-5)


def test_all_of_the_backbone_learns(parts):
    neck, maps, rois = parts
    with tf.GradientTape() as tape:
        total = sum(tf.reduce_sum(x**2) for x in maps(IMAGES).values())
        if rois is not None:
            total += tf.reduce_sum(rois(tf.ones((1, 4, 4, neck.channels))) ** 2)
        learned = [*maps.trainable_variables, *(rois.trainable_variables if rois else [])]
    gradients = tape.gradient(total, [w.value for w in learned])
    assert {id(w) for stage in neck.stages for w in stage.trainable_variables} <= {
        id(w) for w in learned
    }
    assert all(g is not None and np.isfinite(g).all() for g in gradients)


def test_config_is_complete_and_makes_the_same(parts):
    neck, maps, _ = parts
    written = json.loads(json.dumps(keras.saving.serialize_keras_object(neck)))
    assert set(written["config"]) == set(setting_names(type(neck)))
    again = keras.saving.deserialize_keras_object(written)
    assert type(again) is type(neck) and again.settings == neck.settings
    again.build(ResNet(name="resnet18", freeze_at=0), None)
    twin = maps_model(again)
    assert [w.path for w in twin.weights] == [w.path for w in maps.weights]
    twin.set_weights(maps.get_weights())
    for one, other in zip(arrays(maps(IMAGES)), arrays(twin(IMAGES)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_other_parts_take_with_it_exists(parts):
    neck, _, _ = parts
    kinds = {"rpn": RPNS.find("rpn"), "box": BOXES.find("box"), "mask": HEADS.find("mask")}
    for part, settings in neck.part_defaults.items():
        assert set(settings) <= set(setting_names(kinds[part]))
        kinds[part](**settings)
    sizes = neck.part_defaults.get("rpn", {}).get("anchor_sizes")
    assert sizes is None or len(sizes) == len(neck.rpn_strides)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", OWN)
def test_computes_in_half_precision(name, dtype):
    _, full, _ = built(name)
    _, half, _ = built(name, dtype)
    half.set_weights(full.get_weights())
    found = half(IMAGES)
    assert {keras.backend.standardize_dtype(x.dtype) for x in found.values()} == {dtype[6:]}
    for expected, values in zip(arrays(full(IMAGES)), arrays(found), strict=True):
        assert np.linalg.norm(values - expected) < 0.05 * np.linalg.norm(expected)


@pytest.mark.parametrize("name", OWN)
def test_what_is_wrong_is_refused_with_the_nearest_name(name):
    with pytest.raises(ValueError, match=f"Did you mean '{name}'.* Received: neck='{name}n'"):
        NECKS.make(f"{name}n", default="fpn")
    kind = NECKS.find(name)
    for setting in setting_names(kind):
        with pytest.raises(ValueError, match=f"no setting '{setting}s'.*mean '{setting}'"):
            kind(**{f"{setting}s": 1})
    with pytest.raises(ValueError, match="has no setting 'colour'"):
        kind(colour="red")


def test_c4_reads_one_map_and_runs_res5_on_rois():
    neck, maps, _ = built("c4")
    assert (neck.rpn_strides, neck.roi_strides, neck.channels) == ((16,), (16,), 256)
    np.testing.assert_array_equal(maps(IMAGES)["0"], neck.backbone(IMAGES)["C4"])
    pooled = np.random.default_rng(0).normal(size=(2, 4, 4, 256)).astype("float32")
    np.testing.assert_array_equal(neck.roi_features(tf.constant(pooled)), neck.stage5(pooled))
    assert neck.stages == [neck.backbone, neck.stage5] and neck.shares_roi_features


def test_fpn_reads_what_the_backbone_has():
    neck, _, _ = built("fpn")
    assert (neck.rpn_strides, neck.roi_strides) == ((4, 8, 16, 32, 64), (4, 8, 16, 32))
    assert neck.stages == [neck.backbone] and not neck.shares_roi_features
    with pytest.raises(ValueError, match="Received: channels=0"):
        NECKS.find("fpn")(channels=0)
    with pytest.raises(ValueError, match="Did you mean 'group'.* Received: norm='groups'"):
        NECKS.find("fpn")(norm="groups")
