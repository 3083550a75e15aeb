"""RegNets: sizes as published, what trains, the last stage alone.

That they compute what the paper says: `weights/test_regnet.py`.
"""

import keras
import numpy as np
import pytest
from regnet_reference import DESIGNS, stages

from keras_maskrcnn.backbones import RegNet
from keras_maskrcnn.backbones.regnet import SPECS

# Millions, with a classifier of 1000 classes: the paper's tables 4 and 5 (RegNetX and RegNetY).
PARAMETERS = {"regnetx_4gf": 22.1, "regnety_4gf": 20.6}


def test_shapes_follow_from_the_paper_s_rule():
    assert set(SPECS) == set(DESIGNS)
    for name, design in DESIGNS.items():
        spec = SPECS[name]
        assert list(zip(spec.widths, spec.blocks, strict=True)) == stages(design)
        assert (spec.group_width, spec.squeeze_excite) == (
            design.group_width,
            design.squeeze_excite,
        )


@pytest.mark.parametrize("name", PARAMETERS)
def test_sizes_and_what_trains(name):
    maps = RegNet(name=name, norm="batch", freeze_at=0).build_maps(None, None)
    count = sum(np.prod(weight.shape) for weight in maps.trainable_weights)
    classifier = 1000 * SPECS[name].widths[-1] + 1000
    assert round((count + classifier) / 1e6, 1) == PARAMETERS[name]
    maps = RegNet(name=name, norm="batch", freeze_at=3).build_maps(None, None)
    assert {weight.path.split("_")[0] for weight in maps.trainable_weights} == {"res4", "res5"}


def test_last_stage_is_that_of_the_whole_network():
    backbone = RegNet(name="regnety_4gf")
    whole, alone = backbone.build_maps(("C4", "C5"), None), backbone.build_last_stage(None)
    by_path = {weight.path: weight for weight in whole.weights}
    for weight in alone.weights:
        weight.assign(by_path[weight.path])
    maps = whole(np.random.default_rng(0).normal(size=(1, 64, 96, 3)).astype("float32"))
    np.testing.assert_allclose(alone(maps["C4"]), maps["C5"], rtol=1e-4, atol=1e-4)


def test_more_channels_train_the_stem():
    backbone = RegNet(name="regnetx_4gf", freeze_at=2)
    backbone.input_channels = 5
    maps = backbone.build_maps(("C2",), None)
    assert [w.path for w in maps.trainable_weights] == ["stem_conv/kernel"]
    assert maps.get_layer("stem_conv").kernel.shape == (3, 3, 5, 32)


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"widths \(80, 240, 560, 1360\).* Received: norm='group'"):
        RegNet(name="regnetx_4gf", norm="group")
    RegNet(name="regnety_4gf", norm="group")
    with pytest.raises(ValueError, match=r"Did you mean 'regnetx_4gf'.* backbone='regnetx_8gf'"):
        RegNet(name="regnetx_8gf")
    with pytest.raises(ValueError, match="last stage can be dilated: a ResNet"):
        RegNet().build_dilated(None)


def test_a_network_is_saved_and_loaded(tmp_path):
    maps = RegNet(name="regnety_4gf", freeze_at=1).build_maps(("C2",), None)
    maps.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    x = np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype("float32")
    np.testing.assert_array_equal(loaded(x)["C2"], maps(x)["C2"])
    assert [w.path for w in loaded.trainable_weights] == [w.path for w in maps.trainable_weights]
