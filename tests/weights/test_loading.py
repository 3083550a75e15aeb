"""Loading into models: complete or not at all, and what the heads compute afterwards."""

import functools
import json
import pickle

import keras
import numpy as np
import pytest
from torch_writer import write_torch_file

from keras_maskrcnn.backbones.resnet import build_resnet, build_resnet_stage5
from keras_maskrcnn.models.mask_rcnn import MaskRCNN
from keras_maskrcnn.models.settings import merge_arguments
from keras_maskrcnn.weights import (
    backbone_conventions,
    detectron2,
    load_backbone_weights,
    load_detector_weights,
    torchvision,
)
from keras_maskrcnn.weights.files import read_weights_file

K, J = 3, 5
NECKS_OF_DETECTRON2 = {"FPN": "fpn", "C4": "c4", "DC5": "dc5"}


@functools.cache
def _cached_model(changes):
    settings = {
        "num_classes": K,
        "backbone": {"name": "resnet18", "norm_epsilon": 1e-5},
        "neck": {"channels": 8},
        "box": {"dim": 16},
        "heads": ({"name": "mask", "dim": 8}, {"name": "keypoint", "num_keypoints": J}),
    }
    return MaskRCNN(**merge_arguments(settings, json.loads(changes)))


def _model(**changes):
    """A small model, shared by the tests: every one of them sets all its variables."""
    return _cached_model(json.dumps(changes))


def _torch_shape(variable):
    shape = tuple(variable.shape)
    return shape[:1:-1] + shape[:2] if len(shape) == 4 else shape[::-1]


def _tensors(model, kind):
    """A state dict that fits the model, in the library's layout, with random values."""
    rng = np.random.default_rng(0)
    network = model.network
    if kind == "torchvision":
        slots = torchvision.detector_slots(
            model.weights, box_head_convs=network.box.settings["convs"], box_pool_size=7
        )
    else:
        slots = detectron2.detector_slots(
            model.weights,
            neck=NECKS_OF_DETECTRON2[type(network.neck).__name__],
            preprocessing="caffe",
            box_pool_size=7,
        )
    tensors = {}
    for slot in slots:
        shape = _torch_shape(slot.variable)
        if kind == "torchvision":  # a row, or four, for the background
            extra = {"bbox_pred": 4, "mask_fcn_logits": 1}.get(slot.names[0].split(".")[-2], 0)
            if not slot.names[0].startswith("rpn."):
                shape = (shape[0] + extra, *shape[1:])
        tensors[slot.names[0]] = rng.uniform(0.1, 0.5, shape).astype("float32")
    return tensors


def _write(path, tensors, kind):
    if kind == "torchvision":
        return write_torch_file(path, tensors)
    path.write_bytes(pickle.dumps({"model": tensors, "__author__": "test"}, protocol=2))
    return path


@pytest.mark.filterwarnings("ignore:.*trained with preprocessing='caffe'")
@pytest.mark.parametrize("kind", ["torchvision", "detectron2"])
def test_heads_compute_what_the_library_computes(tmp_path, kind):
    model = _model()
    tensors = _tensors(model, kind)
    report = load_detector_weights(model, _write(tmp_path / "w", tensors, kind))
    assert len(report.matched) == len(model.weights) == len(tensors)
    assert not (report.fresh or report.ignored or report.missing or report.left)

    def t(module, name="weight"):
        return tensors[f"roi_heads.{module}.{name}"]

    chw = np.random.default_rng(1).normal(size=(8, 7, 7)).astype("float32")
    logits, deltas = model.network.box.head(chw.transpose(1, 2, 0)[None])
    names = ("fc6", "fc7") if kind == "torchvision" else ("fc1", "fc2")
    x = chw.ravel()
    for name in names:
        x = np.maximum(t(f"box_head.{name}") @ x + t(f"box_head.{name}", "bias"), 0)
    scores, boxes = (
        t(f"box_predictor.{n}") @ x + t(f"box_predictor.{n}", "bias")
        for n in ("cls_score", "bbox_pred")
    )
    if kind == "torchvision":  # background first, with deltas of its own
        scores, boxes = np.roll(scores, -1), boxes[4:]
    np.testing.assert_allclose(logits[0], scores, rtol=1e-4)
    np.testing.assert_allclose(deltas[0], boxes.reshape(K, 4), rtol=1e-4)

    # Masks: the 1x1 convolution of class k, seen through features of one pixel.
    layer = model.network.heads[0].head.mask_logits
    masks = t("mask_predictor.mask_fcn_logits" if kind == "torchvision" else "mask_head.predictor")
    np.testing.assert_array_equal(layer.kernel[0, 0], masks[-K:, :, 0, 0].T)


def test_keypoint_deconvolution(tmp_path):
    model = _model()
    tensors = _tensors(model, "torchvision")
    load_detector_weights(model, write_torch_file(tmp_path / "w.pth", tensors))
    kernel = tensors["roi_heads.keypoint_predictor.kps_score_lowres.weight"]  # [512, J, 4, 4]
    # PyTorch, stride 2, padding 1: out[2y + i - 1] += in[y] w[i]
    x = np.random.default_rng(0).normal(size=(512, 3, 3)).astype("float32")
    expected = np.zeros((J, 8, 8))
    for row in range(3):
        for column in range(3):
            patch = np.einsum("c,cjhw->jhw", x[:, row, column], kernel)
            expected[:, 2 * row : 2 * row + 4, 2 * column : 2 * column + 4] += patch
    expected = expected[:, 1:-1, 1:-1]
    expected += tensors["roi_heads.keypoint_predictor.kps_score_lowres.bias"][:, None, None]
    y = model.network.heads[1].head.deconv(x.transpose(1, 2, 0)[None])
    np.testing.assert_allclose(np.transpose(y[0], (2, 0, 1)), expected, rtol=1e-4, atol=1e-3)


def test_paths_survive_saving(tmp_path):
    model = _model(**{f"{part}.norm": "frozen_statistics" for part in ("neck", "box", "mask")})
    tensors = _tensors(model, "torchvision")
    path = write_torch_file(tmp_path / "w.pth", tensors)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    load_detector_weights(loaded, path)
    load_detector_weights(model, path)
    for ours, theirs in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_c4_model(tmp_path):
    model = _model(
        backbone={"name": "resnet50", "stride_in_1x1": True, "preprocessing": "caffe"},
        neck="c4",
        rpn={"anchor_sizes": ((32, 64),)},
        box={"fcs": 0, "pool_size": 14},
        heads=({"name": "mask", "dim": 8, "convs": 0},),
    )
    tensors = _tensors(model, "detectron2")
    assert "roi_heads.res5.2.conv3.norm.running_var" in tensors
    assert "backbone.res4.5.conv3.weight" in tensors
    extras = {
        "pixel_mean": np.zeros((3, 1, 1)),
        "proposal_generator.anchor_generator.cell_anchors.0": np.zeros((15, 4)),
    }
    path = _write(tmp_path / "w.pkl", {**tensors, **extras}, "detectron2")
    report = load_detector_weights(model, path)
    assert len(report.matched) == len(model.weights) and set(report.ignored) == set(extras)
    # Its residual network as the backbone of another model, res5 in the box head or in the trunk.
    stages = [build_resnet("resnet50", stride_in_1x1=True, outputs=("C4",))]
    stages.append(build_resnet_stage5("resnet50", stride_in_1x1=True))
    report = load_backbone_weights(stages, path, preprocessing="caffe")
    assert "roi_heads.box_predictor.cls_score.weight" in report.ignored
    whole = build_resnet("resnet50", stride_in_1x1=True)
    load_backbone_weights(whole, path)
    weights = [weight for stage in stages for weight in stage.weights]
    for ours, theirs in zip(whole.weights, weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.filterwarnings("ignore:.*trained with preprocessing='caffe'")
def test_dc5_model(tmp_path):
    """All of the network is the backbone, and the heads read it as those of a pyramid do."""
    model = _model(
        neck="dc5", rpn={"anchor_sizes": ((32, 64),)}, heads=({"name": "mask", "dim": 8},)
    )
    tensors = _tensors(model, "detectron2")
    names = ("backbone.res5.1.conv2.norm.running_var", "backbone.stem.conv1.weight")
    assert set(names) < set(tensors) and "roi_heads.box_head.fc2.bias" in tensors
    assert not any(".bottom_up." in name or "fpn" in name for name in tensors)
    path = _write(tmp_path / "w.pkl", tensors, "detectron2")
    report = load_detector_weights(model, path)
    assert len(report.matched) == len(model.weights) and not report.ignored
    # The same weights serve a backbone that is not dilated.
    whole = build_resnet("resnet18")
    load_backbone_weights(whole, path, preprocessing="torch")
    for ours, theirs in zip(whole.weights, model.network.backbone.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_cascade(tmp_path):
    model = _model(box={"name": "cascade", "dim": 16}, heads=())
    tensors = _tensors(model, "detectron2")
    shapes = {name: value.shape for name, value in tensors.items() if "roi_heads" in name}
    assert shapes == {
        f"roi_heads.{module}.{suffix}": (*shape,) if suffix == "weight" else shape[:1]
        for stage in range(3)
        for module, shape in (
            (f"box_head.{stage}.fc1", (16, 8 * 49)),
            (f"box_head.{stage}.fc2", (16, 16)),
            (f"box_predictor.{stage}.cls_score", (K + 1, 16)),
            (f"box_predictor.{stage}.bbox_pred", (4, 16)),
        )
        for suffix in ("weight", "bias")
    }
    report = load_detector_weights(model, _write(tmp_path / "w.pkl", tensors, "detectron2"))
    assert len(report.matched) == len(model.weights)
    chw = np.random.default_rng(1).normal(size=(8, 7, 7)).astype("float32")
    for stage, head in enumerate(model.network.box.heads):
        weights = {k: v for k, v in tensors.items() if f".{stage}." in k and "roi_heads" in k}

        def dense(x, name, weights=weights):
            (weight,) = (v for k, v in weights.items() if k.endswith(f"{name}.weight"))
            (bias,) = (v for k, v in weights.items() if k.endswith(f"{name}.bias"))
            return weight @ x + bias

        hidden = np.maximum(dense(np.maximum(dense(chw.ravel(), "fc1"), 0), "fc2"), 0)
        logits, deltas = head(chw.transpose(1, 2, 0)[None])
        np.testing.assert_allclose(logits[0], dense(hidden, "cls_score"), rtol=1e-4)
        np.testing.assert_allclose(deltas[0, 0], dense(hidden, "bbox_pred"), rtol=1e-4)
    # With other classes, deltas that are the same for all of them are kept.
    other = _model(num_classes=7, box={"name": "cascade", "dim": 16}, heads=())
    with pytest.warns(UserWarning, match="box_head_1/class_logits/kernel"):
        report = load_detector_weights(other, tmp_path / "w.pkl", fresh_classes=True)
    assert {name.split("/")[1] for name in report.fresh} == {"class_logits"}
    assert len(report.fresh) == 6


@pytest.mark.parametrize(
    ("count", "names"),
    [(1, ["conv"]), (3, ["conv.conv0", "conv.conv1", "conv.conv2"])],
)
def test_convolutions_of_detectron2_s_rpn(count, names):
    """As the recorded models have them; one has no number."""
    tensors = _tensors(_model(rpn={"convs": count}), "detectron2")
    found = [n for n in tensors if n.startswith("proposal_generator.rpn_head.conv")]
    assert found == [
        f"proposal_generator.rpn_head.{name}.{kind}"
        for name in names
        for kind in ("weight", "bias")
    ]


def test_other_classes(tmp_path):
    path = write_torch_file(tmp_path / "w.pth", _tensors(_model(), "torchvision"))
    model = _model(num_classes=7)
    before = [np.array(w) for w in model.weights]
    with pytest.raises(
        ValueError, match=r"class_logits/kernel .*num_classes=7.*fresh_classes=True"
    ):
        load_detector_weights(model, path)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)  # nothing was loaded
    with pytest.warns(UserWarning, match="box_head/class_logits/kernel.*mask_logits/bias"):
        report = load_detector_weights(model, path, fresh_classes=True)
    assert len(report.fresh) == 6 and len(report.matched) == len(model.weights) - 6
    assert "FRESH, TO BE TRAINED: 6 (box_head/class_logits/kernel" in str(report)


def test_every_tensor_and_every_variable(tmp_path):
    model = _model()
    tensors = _tensors(model, "torchvision")
    del tensors["rpn.head.cls_logits.bias"]
    tensors["rpn.head.extra.weight"] = np.zeros(1, "float32")
    path = write_torch_file(tmp_path / "w.pth", tensors)
    with pytest.raises(ValueError) as error:
        load_detector_weights(model, path)
    message = str(error.value)
    assert "Variables without a tensor: 1 (rpn_head/objectness/bias" in message
    assert "Tensors without a variable: 1 (rpn.head.extra.weight)" in message


@pytest.mark.filterwarnings("ignore:.*trained with preprocessing='caffe'")
@pytest.mark.parametrize("kind", ["torchvision", "detectron2"])
def test_values_that_are_not_finite(tmp_path, kind):
    model = _model()
    before = [np.array(weight) for weight in model.weights]
    tensors = _tensors(model, kind)
    prefix = "rpn.head" if kind == "torchvision" else "proposal_generator.rpn_head"
    logits = "cls_logits" if kind == "torchvision" else "objectness_logits"
    tensors[f"{prefix}.{logits}.weight"].ravel()[[1, 5]] = np.nan
    tensors[f"{prefix}.{logits}.bias"][0] = -np.inf
    # Finite in the file, and not as float32.
    name = "roi_heads.box_predictor.bbox_pred.bias"
    tensors[name] = np.full(tensors[name].shape, 1e300)
    with pytest.raises(ValueError, match="^w .*holds what no network has, and nothing") as error:
        load_detector_weights(model, _write(tmp_path / "w", tensors, kind))
    message = str(error.value)
    assert "NaN or infinite: 3 (" in message
    assert f"{prefix}.{logits}.weight (2 of 24 values)" in message
    assert f"{prefix}.{logits}.bias (1 of 3 values)" in message
    assert f"{name} ({tensors[name].size} of {tensors[name].size} values)" in message
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_values_that_nothing_takes_may_be_anything(tmp_path):
    backbone = build_resnet("resnet18", outputs=("C5",))
    tensors = {**_backbone_tensors(backbone), "fc.bias": np.full(1000, np.nan, "float32")}
    report = load_backbone_weights(backbone, write_torch_file(tmp_path / "w.pth", tensors))
    assert set(report.ignored) == {"fc.bias"}
    tensors["layer1.0.bn1.running_var"][3] = np.nan
    path = write_torch_file(tmp_path / "w.pth", tensors)
    with pytest.raises(
        ValueError, match=r"NaN or infinite: 1 \(layer1\.0\.bn1\.running_var \(1 of"
    ):
        load_backbone_weights(backbone, path)


@pytest.mark.parametrize("shape", [(), (1,), (64, 64), (1, 2, 3)])
def test_tensors_of_other_ranks(tmp_path, shape):
    backbone = build_resnet("resnet18", outputs=("C5",))
    tensors = _backbone_tensors(backbone)
    tensors["conv1.weight"] = np.zeros(shape, "float32")
    path = write_torch_file(tmp_path / "w.pth", tensors)
    with pytest.raises(
        ValueError, match=r"Shapes that differ: 1 \(stem_conv/kernel \(7, 7, 3, 64\)"
    ):
        load_backbone_weights(backbone, path)


def _backbone_tensors(backbone):
    rng = np.random.default_rng(0)
    return {
        slot.names[0]: rng.uniform(0.1, 0.5, _torch_shape(slot.variable)).astype("float32")
        for slot in torchvision.backbone_slots(backbone.weights)
    }


def test_torchvision_backbone(tmp_path):
    backbone = build_resnet("resnet18")
    tensors = _backbone_tensors(backbone)
    extras = {
        "fc.weight": np.zeros((1000, 512), "float32"),
        "fc.bias": np.zeros(1000, "float32"),
        "bn1.num_batches_tracked": np.array(5, "int64"),
    }
    path = write_torch_file(tmp_path / "resnet18.pth", {**tensors, **extras})
    report = load_backbone_weights(backbone, path, preprocessing="torch")
    assert set(report.ignored) == set(extras)
    text = str(report)
    assert text.startswith("resnet18.pth (torchvision backbone): 100 variables loaded")
    assert "the ImageNet classifier: 2 (fc.weight, fc.bias)" in text and "heads" in text
    kernel = backbone.get_layer("res3_block1_shortcut").kernel
    np.testing.assert_array_equal(
        kernel, tensors["layer2.0.downsample.0.weight"].transpose(2, 3, 1, 0)
    )


def test_group_norm_takes_no_batch_norm(tmp_path):
    path = write_torch_file(tmp_path / "w.pth", _backbone_tensors(build_resnet("resnet18")))
    with pytest.raises(ValueError, match=r"w\.pth .*has batch norm.*norm='group'"):
        load_backbone_weights(build_resnet("resnet18", norm="group"), path)


def test_another_depth(tmp_path):
    path = write_torch_file(tmp_path / "w.pth", _backbone_tensors(build_resnet("resnet18")))
    with pytest.raises(ValueError, match=r"Variables without a tensor: 80.*res2_block3_conv1"):
        load_backbone_weights(build_resnet("resnet34"), path)


def test_conventions_are_checked(tmp_path, shared):
    path = shared / "data/weights/resnet50_imagenet_folded_float32.npz"
    assert backbone_conventions("resnet50", path) == {
        "stride_in_1x1": True,
        "preprocessing": "torch",
    }
    assert backbone_conventions("resnet50", "imagenet")["preprocessing"] == "caffe"
    with pytest.raises(ValueError, match=r"stride_in_1x1=True.* Received: stride_in_1x1=False"):
        load_backbone_weights(build_resnet("resnet50"), path)
    backbone = build_resnet("resnet50", stride_in_1x1=True)
    with pytest.warns(UserWarning, match=r"preprocessing='torch'.*preprocessing='tf'"):
        load_backbone_weights(backbone, path, preprocessing="tf")


def test_detectron2_stem_for_rgb(tmp_path):
    backbone = build_resnet("resnet18")
    tensors = {
        slot.names[0]: np.random.default_rng(0)
        .uniform(0.1, 0.5, _torch_shape(slot.variable))
        .astype("float32")
        for slot in detectron2.backbone_slots(backbone.weights, preprocessing="caffe")
    }
    path = _write(tmp_path / "w.pkl", tensors, "detectron2")
    kernel = tensors["stem.conv1.weight"].transpose(2, 3, 1, 0)
    load_backbone_weights(backbone, path, preprocessing="caffe")
    np.testing.assert_array_equal(backbone.get_layer("stem_conv").kernel, kernel)
    with pytest.warns(UserWarning, match="preprocessing='caffe'"):
        load_backbone_weights(backbone, path, preprocessing="torch")
    np.testing.assert_array_equal(backbone.get_layer("stem_conv").kernel, kernel[:, :, ::-1])


def test_files_that_are_none(tmp_path):
    backbone = build_resnet("resnet18", outputs=("C2",))
    with pytest.raises(FileNotFoundError, match="no weights file"):
        load_backbone_weights(backbone, tmp_path / "absent.pth")
    text = tmp_path / "w.pth"
    text.write_text("not weights")
    with pytest.raises(ValueError, match=r"w\.pth is no weights file of a known kind"):
        read_weights_file(text)
    backbone.save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"is a Keras model.*load_model"):
        read_weights_file(tmp_path / "m.keras")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match=r"no network that is known.*1 tensors, such as \['a'\]"):
        read_weights_file(tmp_path / "other.npz")


def test_backbone_file_is_no_detector(tmp_path):
    path = write_torch_file(tmp_path / "w.pth", _backbone_tensors(build_resnet("resnet18")))
    with pytest.raises(ValueError, match="holds a backbone only"):
        load_detector_weights(_model(), path)
