"""Pre-trained stems for other channels: grey pictures get the answers that grey RGB gets."""

import keras
import numpy as np
import pytest
from torch_writer import write_torch_file

from keras_maskrcnn.backbones.applications import Application
from keras_maskrcnn.backbones.resnet import build_resnet
from keras_maskrcnn.layers.preprocessing import ImageNormalization
from keras_maskrcnn.weights import detectron2, load_backbone_weights, torchvision
from keras_maskrcnn.weights.stems import fit_stem, is_stem_of

from .test_loading import _torch_shape, _write

RNG = np.random.default_rng(0)
GREY = RNG.uniform(0, 255, (1, 64, 96, 1)).astype("float32")


def test_by_hand():
    kernel = np.array([1.0, 2.0, 6.0], "float32").reshape(1, 1, 3, 1)
    # Mean 3, times 3 / 4; sum 9, over 2 and over 1.
    assert fit_stem(kernel, 4).ravel().tolist() == [0.75, 1.5, 4.5, 2.25]
    assert fit_stem(kernel, 6).ravel().tolist() == [0.5, 1.0, 3.0, 1.5, 1.5, 1.5]
    assert fit_stem(kernel, 2).ravel().tolist() == [4.5, 4.5]
    assert fit_stem(kernel, 1).ravel().tolist() == [9.0]
    assert fit_stem(kernel, 3) is kernel
    assert fit_stem(kernel, 4).dtype == np.float32
    assert is_stem_of(kernel, (1, 1, 4, 1)) and not is_stem_of(kernel, (1, 1, 3, 1))
    assert not is_stem_of(kernel, (1, 1, 4, 2)) and not is_stem_of(kernel[:, :, :2], (1, 1, 4, 1))


def tensors_of(kind):
    """A whole ResNet-18 in the library's layout, whose maps stay of the order of 1."""
    variables = build_resnet("resnet18").weights
    if kind == "torchvision":
        slots = torchvision.backbone_slots(variables)
    else:
        slots = detectron2.backbone_slots(variables, preprocessing="caffe")
    rng = np.random.default_rng(1)
    tensors = {}
    for slot in slots:
        shape = _torch_shape(slot.variable)
        fan_in = max(1, int(np.prod(shape[1:])))
        values = (
            rng.normal(size=shape) / fan_in**0.5
            if len(shape) == 4
            else rng.uniform(0.5, 1.5, shape)
        )
        tensors[slot.names[0]] = values.astype("float32")
    return tensors


def save(path, kind):
    if kind == "torchvision":
        return write_torch_file(path, tensors_of(kind))
    return _write(path, tensors_of(kind), "detectron2")


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
@pytest.mark.parametrize(
    ("kind", "preprocessing"), [("torchvision", "torch"), ("detectron2", "caffe")]
)
def test_grey_equals_rgb(tmp_path, kind, preprocessing, channels):
    path = save(tmp_path / "w.pth", kind)
    maps = {}
    for count in (3, channels):
        backbone = build_resnet("resnet18", channels=count, freeze_at=2)
        report = load_backbone_weights(backbone, path, preprocessing=preprocessing)
        images = np.repeat(GREY, count, -1)
        normalize = ImageNormalization(preprocessing, [120.0] * count, [57.0] * count)
        maps[count] = backbone(normalize(images))
        stem = backbone.get_layer("stem_conv")
        if count == 3:
            assert not report.stems and not stem.trainable
            continue
        (line,) = report.stems
        assert line in str(report)
        assert f"stem_conv/kernel: of 3 channels for {count}: " in line
        # Of further channels weights know nothing: they are learnt, though freeze_at=2.
        assert stem.trainable == (count > 3) == line.endswith("; it is trained")
        assert not backbone.get_layer("res2_block1_conv1").trainable
    for name in ("C2", "C3"):
        expected = np.asarray(maps[3][name])
        assert expected.std() > 0.01
        np.testing.assert_allclose(
            maps[channels][name], expected, atol=1e-5 * np.abs(expected).max()
        )


def test_order_of_channels(tmp_path):
    """The file's kernel is for BGR: of the network's first three channels, red is the last."""
    path = save(tmp_path / "w.pkl", "detectron2")
    file = tensors_of("detectron2")["stem.conv1.weight"].transpose(2, 3, 1, 0)
    backbone = build_resnet("resnet18", channels=4)
    load_backbone_weights(backbone, path, preprocessing="caffe")
    kernel = np.asarray(backbone.get_layer("stem_conv").kernel)
    np.testing.assert_allclose(kernel[:, :, :3], 0.75 * file, rtol=1e-6)
    picture = np.array([[[[1.0, 2.0, 3.0, 4.0]]]], "float32")
    seen = ImageNormalization("caffe", [0.0] * 4, [57.63] * 4)(picture)
    np.testing.assert_allclose(np.ravel(seen), [3, 2, 1, 4], rtol=1e-4)
    with pytest.warns(UserWarning, match="preprocessing='caffe'"):
        load_backbone_weights(backbone, path, preprocessing="torch")
    kernel = np.asarray(backbone.get_layer("stem_conv").kernel)
    np.testing.assert_allclose(kernel[:, :, :3], 0.75 * file[:, :, ::-1], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "constructor"),
    [
        ("MobileNetV3Small", "MobileNetV3Small"),
        ("EfficientNetV2B0", "EfficientNetV2B0"),
        ("ConvNeXtTiny", "ConvNeXtTiny"),
        ("ResNet50V2", "ResNet50V2"),
    ],
)
@pytest.mark.slow  # Four networks, twice.
@pytest.mark.parametrize("channels", [1, 4])
def test_applications(tmp_path, caplog, name, constructor, channels):
    """Weights of a file, as Keras writes and reads them."""
    keras.utils.set_random_seed(0)
    options = {"include_top": False, "weights": None, "input_shape": (None, None, 3)}
    if name != "ResNet50V2":
        options["include_preprocessing"] = False
    network = getattr(keras.applications, constructor)(**options)
    path = str(tmp_path / "w.weights.h5")
    network.save_weights(path)
    maps = {}
    for count in (3, channels):
        part = Application(name=name, weights=path, freeze_at=3)
        part.input_channels, part.is_normalized_outside = count, True
        backbone = part.build_maps(("C3",), None)
        normalize = ImageNormalization(part.seen_preprocessing, [120.0] * count, [57.0] * count)
        maps[count] = np.asarray(backbone(normalize(np.repeat(GREY, count, -1)))["C3"])
        trainable = [v for v in backbone.trainable_weights if v.name == "kernel"]
        assert [v.shape[2] for v in trainable] == ([channels] if count > 3 else [])
    assert maps[3].std() > 0
    np.testing.assert_allclose(maps[channels], maps[3], atol=2e-4 * np.abs(maps[3]).max())
    (message,) = [r.getMessage() for r in caplog.records if "of 3 channels" in r.getMessage()]
    assert message.startswith(f"{name}: ") and f"for {channels}:" in message


def test_the_preprocessing_that_networks_bring():
    """Normalised by the data's own numbers, a network must not do it once more."""
    part = Application(name="EfficientNetV2B0")
    assert part.seen_preprocessing == "none"
    part.is_normalized_outside = True
    assert part.seen_preprocessing == "torch"
    names = [type(layer).__name__ for layer in part._network().layers[:4]]
    assert "Normalization" not in names and "Rescaling" not in names
    part.is_normalized_outside = False
    names = [type(layer).__name__ for layer in part._network().layers[:4]]
    assert "Normalization" in names and "Rescaling" in names
