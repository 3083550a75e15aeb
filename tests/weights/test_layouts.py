"""Layouts worked on small tensors, and names of every layer of a ResNet."""

import keras
import numpy as np
import pytest

from keras_maskrcnn.backbones.resnet import SPECS, build_resnet
from keras_maskrcnn.weights import detectron2, layouts, torchvision


def test_dense_over_flattened_maps():
    # One input pixel at a time: channels first in PyTorch's order, last in ours.
    channels, side, outputs = 2, 3, 4
    weight = np.random.default_rng(0).normal(size=(outputs, channels * side * side))
    chw = np.random.default_rng(1).normal(size=(channels, side, side))
    kernel = layouts.from_torch_flattened(weight, side)
    np.testing.assert_allclose(chw.transpose(1, 2, 0).ravel() @ kernel, weight @ chw.ravel())
    with pytest.raises(ValueError, match="4 x 4"):
        layouts.from_torch_flattened(weight, 4)


def test_transposed_convolution():
    # PyTorch: out[o, y * 2 + i, x * 2 + j] += in[c, y, x] * w[c, o, i, j]
    rng = np.random.default_rng(0)
    w, x = rng.normal(size=(3, 2, 2, 2)), rng.normal(size=(3, 2, 3))
    expected = np.einsum("cyx,coij->oyixj", x, w).reshape(2, 4, 6)
    layer = keras.layers.Conv2DTranspose(2, 2, strides=2, use_bias=False)
    layer.build((None, None, None, 3))
    layer.kernel.assign(layouts.from_torch(w))
    y = layer(x.transpose(1, 2, 0)[None].astype("float32"))
    np.testing.assert_allclose(np.transpose(y[0], (2, 0, 1)), expected, rtol=1e-5, atol=1e-6)


def test_small_ones():
    assert layouts.background_last(np.arange(4)).tolist() == [1, 2, 3, 0]
    assert layouts.from_torch(np.zeros((1, 2, 3, 4))).shape == (3, 4, 2, 1)
    assert layouts.from_torch(np.zeros((1, 2))).shape == (2, 1)
    assert layouts.flip_input_channels(np.arange(3).reshape(1, 3, 1, 1)).ravel().tolist() == [
        *(2, 1, 0)
    ]


@pytest.mark.parametrize(
    ("layer", "torch_module", "detectron2_module"),
    [
        ("stem_conv", "conv1", "stem.conv1"),
        ("stem_conv/norm", "bn1", "stem.conv1.norm"),
        ("res2_block1_conv1", "layer1.0.conv1", "res2.0.conv1"),
        ("res4_block23_conv3/norm", "layer3.22.bn3", "res4.22.conv3.norm"),
        ("res3_block1_shortcut", "layer2.0.downsample.0", "res3.0.shortcut"),
        ("res5_block1_shortcut/norm", "layer4.0.downsample.1", "res5.0.shortcut.norm"),
        ("res5_block1_out", None, None),
        ("box_head/fc1", None, None),
    ],
)
def test_names(layer, torch_module, detectron2_module):
    assert torchvision.backbone_module(layer) == torch_module
    assert detectron2.backbone_module(layer) == detectron2_module


def test_every_layer_has_a_name_of_its_own():
    model = build_resnet("resnet50")
    for reader in (torchvision, detectron2):
        slots = reader.backbone_slots(
            model.weights, **({"preprocessing": "caffe"} if reader is detectron2 else {})
        )
        names = [slot.names[0] for slot in slots]
        assert len(set(names)) == len(names) == len(model.weights) == 53 * 5


# Blocks, groups and width per group of torchvision's `resnet.py`.
TORCHVISION = {
    "resnet152": ((3, 8, 36, 3), 1, 64),
    "resnext50_32x4d": ((3, 4, 6, 3), 32, 4),
    "resnext101_32x8d": ((3, 4, 23, 3), 32, 8),
    "resnext101_64x4d": ((3, 4, 23, 3), 64, 4),
    "wide_resnet50_2": ((3, 4, 6, 3), 1, 128),
    "wide_resnet101_2": ((3, 4, 23, 3), 1, 128),
}


def kernels_of_torchvision(name):
    """Shapes of all convolutions, as its `Bottleneck` and `_make_layer` have them."""
    blocks, groups, width_per_group = TORCHVISION[name]
    shapes, inputs = {"conv1": (64, 3, 7, 7)}, 64
    for stage, count in enumerate(blocks):
        planes = 64 * 2**stage
        width = int(planes * (width_per_group / 64)) * groups
        for block in range(count):
            module = f"layer{stage + 1}.{block}"
            shapes[f"{module}.conv1"] = (width, inputs, 1, 1)
            shapes[f"{module}.conv2"] = (width, width // groups, 3, 3)
            shapes[f"{module}.conv3"] = (4 * planes, width, 1, 1)
            if block == 0:
                shapes[f"{module}.downsample.0"] = (4 * planes, inputs, 1, 1)
            inputs = 4 * planes
    return shapes


@pytest.mark.parametrize("name", TORCHVISION)
def test_kernels_are_torchvision_s(name):
    found = {}
    for slot in torchvision.backbone_slots(build_resnet(name).weights):
        if slot.variable.name == "kernel":
            height, width, inputs, outputs = slot.variable.shape
            found[slot.names[0].removesuffix(".weight")] = (outputs, inputs, height, width)
    assert found == kernels_of_torchvision(name)
    if SPECS[name].groups > 1:
        layer = build_resnet(name, outputs=("C2",)).get_layer("res2_block1_conv2")
        assert layer.groups == TORCHVISION[name][1]


def test_old_torchvision_names():
    old = [
        "backbone.fpn.inner_blocks.0.weight",
        "backbone.fpn.layer_blocks.3.bias",
        "rpn.head.conv.weight",
        "roi_heads.mask_head.mask_fcn4.bias",
        "roi_heads.mask_predictor.mask_fcn_logits.weight",
    ]
    assert list(torchvision.rename_old({name: np.zeros(1) for name in old})) == [
        "backbone.fpn.inner_blocks.0.0.weight",
        "backbone.fpn.layer_blocks.3.0.bias",
        "rpn.head.conv.0.0.weight",
        "roi_heads.mask_head.3.0.bias",
        "roi_heads.mask_predictor.mask_fcn_logits.weight",
    ]
