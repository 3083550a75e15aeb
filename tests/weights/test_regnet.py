"""RegNets from torchvision's and detectron2's files: names, and the maps against float64."""

import numpy as np
import pytest
from regnet_reference import DESIGNS, Detectron2, Torchvision, forward, random_tensors
from torch_writer import write_torch_file

from keras_maskrcnn.backbones import RegNet
from keras_maskrcnn.backbones.resnet import build_resnet
from keras_maskrcnn.models.mask_rcnn import MaskRCNN
from keras_maskrcnn.weights import (
    backbone_conventions,
    detectron2,
    load_backbone_weights,
    load_detector_weights,
)
from keras_maskrcnn.weights.regnet import detectron2_module, torchvision_module

from .test_loading import _backbone_tensors, _torch_shape, _write

IMAGE = np.random.default_rng(1).normal(size=(64, 96, 3)).astype("float32")
KINDS = {"torchvision": Torchvision(), "detectron2": Detectron2()}


@pytest.mark.parametrize(
    ("layer", "torch_module", "module_of_detectron2"),
    [
        ("stem_conv", "stem.0", "stem.conv"),
        ("stem_conv/norm", "stem.1", "stem.bn"),
        ("res2_block1_a", "trunk_output.block1.block1-0.f.a.0", "s1.b1.f.a"),
        ("res3_block2_b/norm", "trunk_output.block2.block2-1.f.b.1", "s2.b2.f.b_bn"),
        ("res4_block14_c", "trunk_output.block3.block3-13.f.c.0", "s3.b14.f.c"),
        ("res5_block1_shortcut", "trunk_output.block4.block4-0.proj.0", "s4.b1.proj"),
        ("res5_block1_shortcut/norm", "trunk_output.block4.block4-0.proj.1", "s4.b1.bn"),
        ("res2_block2_se/reduce", "trunk_output.block1.block1-1.f.se.fc1", "s1.b2.f.se.f_ex.0"),
        ("res2_block2_se/expand", "trunk_output.block1.block1-1.f.se.fc2", "s1.b2.f.se.f_ex.2"),
        ("res2_block1_conv1", None, None),
        ("box_head/fc1", None, None),
    ],
)
def test_names(layer, torch_module, module_of_detectron2):
    assert torchvision_module(layer) == torch_module
    assert detectron2_module(layer) == module_of_detectron2


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("regnetx_4gf", "torchvision"),
        ("regnety_4gf", "torchvision"),
        ("regnety_4gf", "detectron2"),
    ],
)
def test_maps_of_a_classifier_s_file(tmp_path, name, kind):
    names, design = KINDS[kind], DESIGNS[name]
    tensors = random_tensors(design, names)
    extras = {"fc.weight": np.zeros((1000, 8), "float32"), "fc.bias": np.zeros(1000, "float32")}
    path = _write(tmp_path / "w", {**tensors, **extras}, kind)
    assert backbone_conventions(name, path) == {"preprocessing": "torch"}
    backbone = RegNet(name=name).build_maps(None, None)
    report = load_backbone_weights(backbone, path, preprocessing="torch")
    counters = {n for n in tensors if n.endswith("num_batches_tracked")}
    assert set(report.ignored) == counters | set(extras)
    assert len(report.matched) == len(backbone.weights) == len(tensors) - len(counters)
    # detectron2's networks take BGR.
    image = IMAGE if kind == "torchvision" else IMAGE[..., ::-1]
    found = backbone(IMAGE[None])
    expected = forward(design, names, tensors, image)
    assert list(found) == list(expected)
    for level, values in expected.items():
        error = np.abs(np.asarray(found[level][0]) - values).max()
        assert error < 1e-5 * np.abs(values).max(), level


def test_a_detector_of_detectron2(tmp_path):
    model = MaskRCNN.from_preset(
        "mask_rcnn_regnety_4gf_dds_FPN_100ep_LSJ",
        load_weights=False,
        **{"neck": {"channels": 8}, "box.dim": 16, "mask.dim": 8},
    )
    assert model.network.preprocessing == "torch" and model.input_size.max_size == 1024
    slots = detectron2.detector_slots(
        model.weights, neck="fpn", preprocessing="torch", box_pool_size=7
    )
    own = {slot.names[0]: np.full(_torch_shape(slot.variable), 0.5, "float32") for slot in slots}
    body = {
        f"backbone.bottom_up.{name}": tensor
        for name, tensor in random_tensors(DESIGNS["regnety_4gf"], Detectron2()).items()
    }
    counters = {name for name in body if name.endswith("num_batches_tracked")}
    prefix = "backbone.bottom_up."
    assert {name for name in own if name.startswith(prefix)} == body.keys() - counters
    path = _write(tmp_path / "w.pkl", own | body, "detectron2")
    report = load_detector_weights(model, path)
    assert len(report.matched) == len(model.weights) and set(report.ignored) == counters
    stem = body[f"{prefix}stem.conv.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(
        model.network.backbone.get_layer("stem_conv").kernel, stem[:, :, ::-1]
    )
    # Its backbone alone.
    backbone = RegNet(name="regnety_4gf").build_maps(None, None)
    report = load_backbone_weights(backbone, path, preprocessing="torch")
    assert report.ignored["roi_heads.box_predictor.cls_score.bias"] == "not of the backbone"
    for ours, theirs in zip(backbone.weights, model.network.backbone.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_another_network_is_refused(tmp_path):
    file = write_torch_file(
        tmp_path / "x.pth", random_tensors(DESIGNS["regnetx_4gf"], Torchvision())
    )
    with pytest.raises(ValueError, match=r"Variables without a tensor: .*conv1\.weight"):
        load_backbone_weights(build_resnet("resnet18"), file)
    maps = RegNet(name="regnety_4gf").build_maps(("C2",), None)
    with pytest.raises(ValueError, match=r"Variables without a tensor: 8 .*f\.se\.fc1\.weight"):
        load_backbone_weights(maps, file)
    resnet = write_torch_file(tmp_path / "r.pth", _backbone_tensors(build_resnet("resnet18")))
    with pytest.raises(ValueError, match=r"Variables without a tensor: .*trunk_output\.block1"):
        load_backbone_weights(maps, resnet)
    with pytest.raises(ValueError, match=r"give a path.* Received: backbone='regnety_4gf'"):
        load_backbone_weights(maps, "imagenet")
