"""Backbones of `keras.applications` against Keras' own networks, preprocessing and layers."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import applications, ops

from keras_maskrcnn.backbones import make_backbone
from keras_maskrcnn.layers.preprocessing import ImageNormalization

PIXELS = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3)).astype("float32")


def hard_swish(x):
    return x * ops.relu6(x + 3.0) / 6.0


def outputs(*names):
    return lambda network: [network.get_layer(name).output for name in names]


def mobilenet_v3(network):
    """Its activations have names that Keras counts; what they are applied to has not."""
    names = [*(f"expanded_conv_{i}_expand_bn" for i in (1, 3, 8)), "conv_1_bn"]
    return [
        function(maps)
        for function, maps in zip(
            (ops.relu, hard_swish, hard_swish, hard_swish), outputs(*names)(network), strict=True
        )
    ]


def convnext(network):
    """The sums at the ends of stages have no name: they are what is made smaller next."""
    names = [f"convnext_tiny_downsampling_block_{i}" for i in range(3)]
    return [*(network.get_layer(name).input for name in names), network.output]


# Where the preprocessing stands, and C2..C5 of a network.
FAMILIES = {
    "ResNet50": (
        applications.resnet,
        outputs("conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out"),
    ),
    "ResNet50V2": (
        applications.resnet_v2,
        outputs(
            *(f"conv{i}_preact_relu" for i in ("2_block3", "3_block4", "4_block6")), "post_relu"
        ),
    ),
    "MobileNetV2": (
        applications.mobilenet_v2,
        outputs(*(f"block_{i}_expand_relu" for i in (3, 6, 13)), "out_relu"),
    ),
    "MobileNetV3Small": (applications.mobilenet_v3, mobilenet_v3),
    "EfficientNetV2B0": (
        applications.efficientnet_v2,
        outputs(
            *("block2b_add", "block4a_expand_activation", "block6a_expand_activation"),
            "top_activation",
        ),
    ),
    "ConvNeXtTiny": (applications.convnext, convnext),
}


@pytest.fixture(scope="module", params=FAMILIES)
def built(request):
    backbone = make_backbone(request.param, lambda name: {})
    maps = backbone.build_maps(None, None)
    images = ImageNormalization(backbone.preprocessing)(PIXELS)
    yield SimpleNamespace(
        name=request.param, backbone=backbone, maps=maps, images=images, found=maps(images)
    )
    keras.backend.clear_session()


def test_pixels_are_normalised_as_keras_does(built):
    module, _ = FAMILIES[built.name]
    np.testing.assert_allclose(built.images, module.preprocess_input(PIXELS.copy()), atol=1e-4)


def test_maps_are_those_of_the_network_itself(built):
    module, find = FAMILIES[built.name]
    make = getattr(applications, built.name)
    network = make(include_top=False, weights=None, input_shape=(None, None, 3))
    network.set_weights(built.maps.get_weights())
    expected = keras.Model(network.inputs[0], find(network))(module.preprocess_input(PIXELS.copy()))
    for values, (level, found) in zip(expected, built.found.items(), strict=True):
        values, found = (ops.convert_to_numpy(x) for x in (values, found))
        np.testing.assert_allclose(found, values, atol=1e-4 * np.abs(values).max(), err_msg=level)


HALF = {
    "ResNet50V2": "mixed_bfloat16",
    "MobileNetV2": "mixed_float16",
    "MobileNetV3Small": "mixed_bfloat16",
    "EfficientNetV2B0": "mixed_float16",
    "ConvNeXtTiny": "mixed_bfloat16",
}


def test_computes_in_half_precision(built):
    """Keras' constructors take no policy: layers are made again, also those within others."""
    if built.name not in HALF:
        pytest.skip("made of the same layers as MobileNetV2 and ResNet50V2")
    policy = HALF[built.name]
    maps = built.backbone.build_maps(None, policy)
    maps.set_weights(built.maps.get_weights())
    own = [layer for layer in maps._flatten_layers(include_self=False) if layer.weights]
    own = [layer for layer in own if not isinstance(layer, keras.Model)]
    assert {layer.compute_dtype for layer in own} == {policy.removeprefix("mixed_")}
    found = maps(built.images)
    for level, values in found.items():
        assert keras.backend.standardize_dtype(values.dtype) == policy.removeprefix("mixed_")
        values = ops.convert_to_numpy(ops.cast(values, "float32"))
        assert np.isfinite(values).all(), level
    # Of random weights later maps may lie below float16's smallest number.
    first, expected = (
        ops.convert_to_numpy(ops.cast(maps["C2"], "float32")) for maps in (found, built.found)
    )
    assert 0 < np.linalg.norm(first - expected) < 0.05 * np.linalg.norm(expected)
