"""The pyramid worked by hand; its recorded numbers are in test_resnet.py."""

import keras
import numpy as np
import pytest

from keras_maskrcnn.layers.conv_block import ConvBlock
from keras_maskrcnn.necks.fpn import UpsampleAdd, build_feature_pyramid


@pytest.mark.parametrize("side", [4, 3])
def test_upsample_add(side):
    fine = np.zeros((1, side, side, 1), "float32")
    coarse = np.array([[1.0, 2.0], [3.0, 4.0]], "float32").reshape(1, 2, 2, 1)
    y = UpsampleAdd()([fine, coarse])
    expected = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    np.testing.assert_array_equal(y[0, :, :, 0], np.array(expected)[:side, :side])


CHANNELS = {"C2": 3, "C3": 3, "C4": 3, "C5": 3}


def _maps(height, width):
    rng = np.random.default_rng(0)
    shapes = {"C2": 1, "C3": 2, "C4": 4, "C5": 8}
    return {
        name: rng.normal(size=(2, -(-height // step), -(-width // step), 3)).astype("float32")
        for name, step in shapes.items()
    }


def test_levels_by_hand():
    pyramid = build_feature_pyramid(CHANNELS, channels=3)
    delta = np.zeros((3, 3, 3, 3), "float32")
    delta[1, 1] = np.eye(3)
    for layer in pyramid.layers:  # laterals and outputs become the identity, plus a bias
        if isinstance(layer, ConvBlock):
            is_output = layer.name.startswith("output")
            layer.kernel.assign(delta if is_output else np.eye(3)[None, None])
            layer.bias.assign(np.full(3, 1.0 if is_output else 0.0))
    maps = _maps(24, 40)
    levels = pyramid(maps)
    assert list(levels) == ["P2", "P3", "P4", "P5", "P6"]
    np.testing.assert_allclose(levels["P5"], maps["C5"] + 1, rtol=1e-6)
    enlarged = np.kron(maps["C5"], np.ones((1, 2, 2, 1)))
    np.testing.assert_allclose(levels["P4"], maps["C4"] + enlarged + 1, rtol=1e-5)
    np.testing.assert_array_equal(levels["P6"], levels["P5"][:, ::2, ::2])


def test_odd_sizes_keep_the_maps_sizes():
    pyramid = build_feature_pyramid(CHANNELS, channels=8)
    levels = pyramid(_maps(21, 35))
    assert [levels[f"P{i}"].shape[1:3] for i in (2, 3, 4, 5, 6)] == [
        *((21, 35), (11, 18), (6, 9), (3, 5), (2, 3))
    ]


def test_norm_replaces_the_bias():
    pyramid = build_feature_pyramid(CHANNELS, channels=4, norm="batch", norm_epsilon=1e-3)
    names = {w.path for w in pyramid.weights}
    assert "lateral2/norm/gamma" in names and "output5/norm/moving_variance" in names
    assert not [n for n in names if n.endswith("bias")]
    assert pyramid.get_layer("output3").norm.epsilon == 1e-3


def test_round_trip(tmp_path):
    pyramid = build_feature_pyramid(CHANNELS, channels=4, norm="frozen")
    pyramid.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    maps = _maps(16, 8)
    for name, level in pyramid(maps).items():
        np.testing.assert_array_equal(loaded(maps)[name], level)


def test_bad_channels():
    with pytest.raises(ValueError, match=r"successive strides.* Received: maps \['C2', 'C4'\]"):
        build_feature_pyramid({"C2": 1, "C4": 2})
