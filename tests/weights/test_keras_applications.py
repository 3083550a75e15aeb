"""keras.applications' ResNets, against keras.applications itself, and folded networks."""

import h5py
import keras
import numpy as np
import pytest

from keras_maskrcnn.backbones.resnet import build_resnet
from keras_maskrcnn.layers.preprocessing import ImageNormalization
from keras_maskrcnn.weights import keras_applications, load_backbone_weights


@pytest.fixture(scope="module")
def reference():
    """keras.applications' ResNet-50 with statistics that matter."""
    model = keras.applications.ResNet50(weights=None, include_top=False)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        shape = weight.shape
        if weight.name == "moving_variance":
            weight.assign(rng.uniform(0.5, 2.0, shape))
        elif weight.name in ("gamma", "beta", "moving_mean", "bias"):
            weight.assign(rng.normal(0.3, 0.1, shape))
    return model


@pytest.fixture(scope="module")
def reference_file(reference, tmp_path_factory):
    """A file of the layout that keras.applications publishes."""
    path = tmp_path_factory.mktemp("weights") / "resnet50_notop.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in reference.layers]
        for layer in reference.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{w.name}:0" for w in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, layer.weights, strict=True):
                group[name] = np.array(weight)
    return path


def test_the_files_layout_is_keras_own(reference, reference_file):
    twin = keras.applications.ResNet50(weights=None, include_top=False)
    twin.load_weights(reference_file)
    for ours, theirs in zip(twin.weights, reference.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("epsilon", [1e-5, 1e-3])
def test_features_are_keras_applications(reference, reference_file, epsilon):
    backbone = build_resnet("resnet50", stride_in_1x1=True, norm_epsilon=epsilon)
    report = load_backbone_weights(backbone, reference_file, preprocessing="caffe")
    assert len(report.matched) == len(backbone.weights)
    assert not report.missing and not report.left and not report.ignored
    taps = ("conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out")
    outputs = [reference.get_layer(tap).output for tap in taps]
    x = np.random.default_rng(1).normal(size=(1, 64, 96, 3)).astype("float32")
    expected = keras.Model(reference.input, outputs)(x)
    for ours, theirs in zip(backbone(x).values(), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5 * np.abs(theirs).max())


def test_values_that_are_not_finite(reference_file, tmp_path):
    path = tmp_path / "w.h5"
    path.write_bytes(reference_file.read_bytes())
    with h5py.File(path, "r+") as file:
        file["conv1_bn/conv1_bn/gamma:0"][0] = np.inf
    backbone = build_resnet("resnet50", stride_in_1x1=True)
    with pytest.raises(ValueError, match=r"NaN or infinite: 1 \(conv1_bn/gamma \(1 of 64 values"):
        load_backbone_weights(backbone, path, preprocessing="caffe")


def test_imagenet_download(reference_file, monkeypatch):
    calls = []

    def get_file(name, **options):
        calls.append((name, options))
        return str(reference_file)

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    backbone = build_resnet("resnet50", stride_in_1x1=True)
    report = load_backbone_weights(backbone, "imagenet", preprocessing="caffe")
    assert len(report.matched) == len(backbone.weights)
    ((name, options),) = calls
    # What keras.applications itself asks for.
    own = keras.src.applications.resnet
    assert name == "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
    assert options["origin"] == own.BASE_WEIGHTS_PATH + name
    assert options["cache_subdir"] == "models"
    hashes = {n: own.WEIGHTS_HASHES[n][1] for n in ("resnet50", "resnet101")}
    assert {n: h for n, (_, h) in keras_applications._FILES.items()} == hashes
    assert options["file_hash"] == hashes["resnet50"]


def test_imagenet_for_other_networks():
    with pytest.raises(ValueError, match=r"give a path.* Received: backbone='resnet18'"):
        load_backbone_weights(build_resnet("resnet18"), "imagenet")


def test_folded_network_recognises_pictures(shared):
    """The real ImageNet ResNet-50, from pixels to classes: preprocessing, strides, every kernel."""
    path = shared / "data/weights/resnet50_imagenet_folded_float32.npz"
    backbone = build_resnet("resnet50", stride_in_1x1=True, outputs=("C5",))
    report = load_backbone_weights(backbone, path, preprocessing="torch")
    assert len(report.matched) == len(backbone.weights)
    assert set(report.ignored) == {"predictions/kernel", "predictions/bias"}
    with np.load(path) as file:
        kernel, bias = file["predictions/kernel"], file["predictions/bias"]
    folder = shared / "data/coco_ccby"
    # Pictures that one big thing fills, and the ImageNet classes that it may be.
    pictures = {
        "val2017/000000519208.jpg": {101, 385, 386},  # elephants
        "val2017/000000377575.jpg": {265, 266, 267},  # poodles
        "val2017/000000160012.jpg": {963},  # pizza
        "train2017/000000458756.jpg": {954},  # banana
    }
    for name, classes in pictures.items():
        image = keras.utils.load_img(
            folder / name, target_size=(224, 224), interpolation="bilinear"
        )
        x = ImageNormalization("torch")(np.array(image)[None])
        logits = np.mean(backbone(x)["C5"], axis=(1, 2)) @ kernel.reshape(2048, -1) + bias
        assert set(np.argsort(-logits[0])[:5]) & classes, name
