"""What every backbone owes, whichever it is; a new one runs through this by a line in `MEMBERS`.

That those of `keras.applications` compute what Keras' own do: `test_applications.py`.
"""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import SMALLEST, TINY
from keras import ops

from keras_maskrcnn import MaskRCNN
from keras_maskrcnn.backbones import (
    BACKBONES,
    Application,
    Backbone,
    FunctionalBackbone,
    RegNet,
    ResNet,
)
from keras_maskrcnn.backbones.base import map_channels
from keras_maskrcnn.parts import setting_names

STRIDES = {"C2": 4, "C3": 8, "C4": 16, "C5": 32}
IMAGES = np.random.default_rng(0).normal(0, 50, (1, 64, 96, 3)).astype("float32")


def users_network():
    """Two maps of every stride, the later of which count; one of a stride that no level has."""
    x = images = keras.Input((None, None, 3), name="pictures")
    maps = []
    for stage in range(5):
        x = keras.layers.Conv2D(4 + stage, 3, strides=2, padding="same", name=f"down{stage}")(x)
        x = keras.layers.BatchNormalization(name=f"norm{stage}")(x)
        maps.append(x)
        x = keras.layers.ReLU(name=f"relu{stage}")(x)
        maps.append(x)
    return keras.Model(images, maps, name="users")


# Class, settings, and channels of C2..C5 as their papers give them. Of each family the smallest.
MEMBERS = {
    "resnet18": (ResNet, (64, 128, 256, 512)),
    "regnetx_4gf": (RegNet, (80, 240, 560, 1360)),
    "regnety_4gf": (RegNet, (128, 192, 512, 1088)),
    "functional": (FunctionalBackbone, (5, 6, 7, 8)),
    "ResNet50V2": (Application, (256, 512, 1024, 2048)),
    "MobileNetV3Small": (Application, (72, 96, 288, 576)),
    "EfficientNetV2B0": (Application, (32, 192, 672, 1280)),
    "ConvNeXtTiny": (Application, (96, 192, 384, 768)),
}
QUICK = ("resnet18", "functional", "MobileNetV3Small")
# Their sizes, channels and strides are in `test_resnet.py`.
DEEPER = (
    *("resnet34", "resnet50", "resnet101", "resnet152"),
    *("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"),
    *("wide_resnet50_2", "wide_resnet101_2"),
)
LARGER = {
    *("ResNet50", "ResNet101", "ResNet152", "ResNet101V2", "ResNet152V2"),
    *("MobileNetV2", "MobileNetV3Large"),
    *(f"EfficientNetV2{size}" for size in ("B1", "B2", "B3", "S", "M", "L")),
    *(f"ConvNeXt{size}" for size in ("Small", "Base", "Large")),
}


def make(name, **settings):
    own = {"model": users_network()} if name == "functional" else {"name": name}
    return MEMBERS[name][0](**own, **settings)


@dataclasses.dataclass(frozen=True)
class Built:
    """A backbone of which all but norms trains, and its maps of `IMAGES`."""

    name: str
    backbone: Backbone
    maps: keras.Model
    found: dict


@pytest.fixture(scope="module", params=MEMBERS)
def built(request):
    backbone = make(request.param, freeze_at=0)
    maps = backbone.build_maps(None, None)
    rng = np.random.default_rng(0)
    for weight in maps.weights:  # statistics that are no initial ones
        if "moving_mean" in weight.path:
            weight.assign(rng.normal(0, 0.1, weight.shape))
        elif "moving_variance" in weight.path:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    yield Built(request.param, backbone, maps, arrays(maps(IMAGES)))
    keras.backend.clear_session()


def arrays(maps):
    return {
        name: ops.convert_to_numpy(ops.cast(values, "float32")) for name, values in maps.items()
    }


def statistics(maps):
    return {w.path: w.numpy() for w in maps.weights if "moving" in w.path}


def test_every_name_is_here():
    own = {n for n in BACKBONES.names if BACKBONES.find(n).__module__.startswith("keras_maskrcnn")}
    assert own - {SMALLEST} == {*MEMBERS, *DEEPER, *LARGER}


def test_channels_and_strides_told_are_those_of_the_maps(built):
    levels = list(zip(STRIDES.items(), MEMBERS[built.name][1], strict=True))
    assert map_channels(built.maps) == {name: channels for (name, _), channels in levels}
    assert {name: values.shape for name, values in built.found.items()} == {
        name: (1, 64 // stride, 96 // stride, channels) for (name, stride), channels in levels
    }
    assert all(np.isfinite(values).all() for values in built.found.values())


def test_sides_that_no_stride_divides_round_up(built):
    """As if the pictures were padded with zeros, whichever way a network rounds by itself."""
    found = arrays(built.maps(IMAGES[:, :57, :70]))
    for name, stride in STRIDES.items():
        assert found[name].shape[1:3] == (-(-57 // stride), -(-70 // stride))
    if isinstance(built.backbone, ResNet | RegNet):
        return  # their padding is symmetric, so that odd sides move no cell
    padded = IMAGES * (np.arange(64) < 57)[None, :, None, None] * (np.arange(96) < 70)[:, None]
    for name, values in arrays(built.maps(padded)).items():
        rows, columns = found[name].shape[1:3]
        np.testing.assert_allclose(
            found[name], values[:, :rows, :columns], rtol=1e-3, atol=1e-5, err_msg=name
        )


def test_frozen_norms_keep_their_statistics_in_training(built):
    before = statistics(built.maps)
    assert bool(before) != (built.name == "ConvNeXtTiny")
    built.maps(IMAGES, training=True)
    for path, values in statistics(built.maps).items():
        np.testing.assert_array_equal(values, before[path], err_msg=path)


def test_made_again_of_its_config_it_says_the_same_and_freezes_what_was_asked(built, tmp_path):
    changed = make(built.name, norm="batch", freeze_at=3)
    assert set(changed.get_config()) == set(setting_names(type(changed)))
    written = json.loads(json.dumps(keras.saving.serialize_keras_object(changed)))
    again = keras.saving.deserialize_keras_object(written)
    assert type(again) is type(changed)
    # Keras notes of a whole network more than its constructor takes.
    configs = [{**part.get_config(), "model": None} for part in (changed, again)]
    assert configs[0] == configs[1]
    maps = again.build_maps(None, None)
    built.maps.save_weights(tmp_path / "maps.weights.h5")
    maps.load_weights(tmp_path / "maps.weights.h5")
    for name, values in arrays(maps(IMAGES)).items():
        np.testing.assert_allclose(values, built.found[name], rtol=1e-3, atol=1e-5, err_msg=name)
    check_frozen_to_stride_8(maps)


def check_frozen_to_stride_8(maps):
    """What the map of stride 8 depends on, and nothing else, keeps weights and statistics."""
    images = IMAGES[:, :32, :64]
    before = statistics(maps)
    learned = [w for w in maps.weights if w.path not in before and "seed" not in w.path]
    with tf.GradientTape(watch_accessed_variables=False, persistent=True) as tape:
        tape.watch([w.value for w in learned])
        found = maps(images, training=True)
        totals = {name: tf.reduce_sum(found[name] ** 2) for name in ("C3", "C5")}
    below, all_below = (tape.gradient(totals[k], [w.value for w in learned]) for k in ("C3", "C5"))
    assert all(gradient is not None for gradient in all_below)
    frozen = {w.path for w, gradient in zip(learned, below, strict=True) if gradient is not None}
    trained = {w.path for w in maps.trainable_variables}
    assert frozen and trained == {w.path for w in learned} - frozen
    moved = {path for path, values in statistics(maps).items() if np.any(values != before[path])}
    layers = {path.rpartition("/")[0] for path in trained}
    assert moved == {path for path in before if path.rpartition("/")[0] in layers}


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_computes_in_half_precision(dtype):
    """ResNets; those of `keras.applications` in `test_applications.py`."""
    backbone = make("resnet18", freeze_at=0)
    full, half = (backbone.build_maps(("C3",), policy) for policy in ("float32", dtype))
    half.set_weights(full.get_weights())
    assert {keras.backend.standardize_dtype(w.dtype) for w in half.weights} == {"float32"}
    found = half(IMAGES)["C3"]
    assert keras.backend.standardize_dtype(found.dtype) == dtype.removeprefix("mixed_")
    expected = ops.convert_to_numpy(full(IMAGES)["C3"])
    error = np.abs(ops.convert_to_numpy(ops.cast(found, "float32")) - expected).max()
    assert 0 < error < 0.02 * np.abs(expected).max()


@pytest.mark.parametrize("name", QUICK)
def test_only_wanted_maps_are_computed(name):
    backbone = make(name)
    maps = backbone.build_maps(("C4",), None)
    assert map_channels(maps) == {"C4": MEMBERS[name][1][2]}
    assert maps.compute_output_shape((1, 64, 96, 3))["C4"][1:3] == (4, 6)
    with pytest.raises(ValueError, match="C6"):
        backbone.build_maps(("C6",), None)


def test_is_saved_within_a_model(tmp_path):
    """ConvNeXt: its layers are not registered with Keras. Others in `extending`, `models`."""
    model = MaskRCNN(**{**TINY, "backbone": "ConvNeXtTiny"})
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert [w.shape for w in loaded.weights] == [w.shape for w in model.weights]
    expected = arrays(model.network.backbone(IMAGES))
    for name, values in arrays(loaded.network.backbone(IMAGES)).items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", QUICK)
def test_what_is_wrong_is_refused_with_the_nearest_name(name):
    with pytest.raises(ValueError, match="no setting 'freeze_to'.* Did you mean 'freeze_at'"):
        make(name, freeze_to=2)
    with pytest.raises(ValueError, match="Did you mean 'frozen'.* Received: norm='froze'"):
        make(name, norm="froze")
    with pytest.raises(ValueError, match="Received: freeze_at=7"):
        make(name, freeze_at=7)
    with pytest.raises(ValueError, match="Did you mean 'caffe'.* Received: preprocessing='cafe'"):
        make(name, preprocessing="cafe")
    if name != "resnet18":
        with pytest.raises(ValueError, match="stand alone: a ResNet, ResNeXt or RegNet"):
            make(name).build_last_stage(None)
