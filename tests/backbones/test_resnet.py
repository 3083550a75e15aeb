"""ResNets: sizes as published, recorded features, what trains."""

import keras
import numpy as np
import pytest
from golden_weights import golden_tensors

from keras_maskrcnn.backbones.base import map_channels
from keras_maskrcnn.backbones.resnet import build_resnet, build_resnet_stage5
from keras_maskrcnn.layers.norms import make_norm
from keras_maskrcnn.layers.preprocessing import ImageNormalization
from keras_maskrcnn.necks.fpn import build_feature_pyramid
from keras_maskrcnn.weights import detectron2, torchvision
from keras_maskrcnn.weights.report import fill

# torchvision's published parameter counts less their classifier of 1000 classes.
TRAINED_PARAMETERS = {
    "resnet18": 11_689_512 - 513_000,
    "resnet34": 21_797_672 - 513_000,
    "resnet50": 25_557_032 - 2_049_000,
    "resnet101": 44_549_160 - 2_049_000,
    "resnet152": 60_192_808 - 2_049_000,
    "resnext50_32x4d": 25_028_904 - 2_049_000,
    "resnext101_32x8d": 88_791_336 - 2_049_000,
    "resnext101_64x4d": 83_455_272 - 2_049_000,
    "wide_resnet50_2": 68_883_240 - 2_049_000,
    "wide_resnet101_2": 126_886_696 - 2_049_000,
}


@pytest.mark.parametrize("name", TRAINED_PARAMETERS)
def test_sizes_and_strides(name):
    model = build_resnet(name, norm="batch")
    trained = sum(np.prod(w.shape) for w in model.trainable_weights)
    assert trained == TRAINED_PARAMETERS[name]
    first = 64 if name in ("resnet18", "resnet34") else 256  # Basic blocks do not widen.
    expected = {"C2": first, "C3": 2 * first, "C4": 4 * first, "C5": 8 * first}
    assert {k: v.shape[-1] for k, v in model.output.items()} == expected
    # Odd sizes round up at every stride, as with symmetric padding in PyTorch.
    shapes = {k: v.shape[1:3] for k, v in model(np.zeros((1, 65, 90, 3), "float32")).items()}
    assert shapes == {"C2": (17, 23), "C3": (9, 12), "C4": (5, 6), "C5": (3, 3)}


CASES = {
    "tv_mask_r50_fpn": ("resnet50", False, "torch", None),
    "tv_mask_r50_fpn_v2": ("resnet50", False, "torch", "frozen"),
    "d2_mask_r50_fpn": ("resnet50", True, "caffe", None),
    "d2_mask_x101_fpn": ("resnext101_32x8d", False, "torch", None),
    "d2_mask_r50_c4": ("resnet50", True, "caffe", "c4"),
}


@pytest.mark.parametrize("case", CASES)
def test_recorded_features(case, golden, golden_info):
    name, stride_in_1x1, preprocessing, neck_norm = CASES[case]
    info, recorded = golden_info(case), golden(case)
    is_c4 = neck_norm == "c4"
    outputs = ("C4",) if is_c4 else ("C2", "C3", "C4", "C5")
    backbone = build_resnet(name, stride_in_1x1=stride_in_1x1, outputs=outputs)
    pyramid = None if is_c4 else build_feature_pyramid(map_channels(backbone), norm=neck_norm)
    variables = [*backbone.weights, *([] if is_c4 else pyramid.weights)]
    if case.startswith("tv"):
        slots = torchvision.detector_slots(variables, box_head_convs=0, box_pool_size=7)
    else:
        slots = detectron2.detector_slots(
            variables,
            neck="c4" if is_c4 else "fpn",
            preprocessing=preprocessing,
            box_pool_size=7,
        )
    tensors = golden_tensors(info, "backbone.")
    counters = {n: "counter" for n in tensors if n.endswith("num_batches_tracked")}
    fill(slots, tensors, source=case, ignore=counters)
    images = ImageNormalization(preprocessing)(golden("images")["image0"][None])
    features = backbone(images)
    if not is_c4:
        features = {**features, **pyramid(features)}
    compared = 0
    for key, stats in info["stats"].items():
        ours = key.replace("res", "C").upper()
        if ours in features:
            steps = [int(s) for s in stats["stored"].replace("::", "").strip("[:, ]").split(", ")]
            y = np.transpose(features[ours], (0, 3, 1, 2))
            y = y[:, :: steps[0], :: steps[1], :: steps[2]]
            assert np.abs(y - recorded[key]).max() < 1e-5 * stats["absmax"], key
            compared += 1
    assert compared == len(features)


def test_stage5_is_that_of_the_whole_network():
    whole = build_resnet("resnet50", stride_in_1x1=True, outputs=("C4", "C5"))
    stage5 = build_resnet_stage5("resnet50", stride_in_1x1=True)
    by_path = {w.path: w for w in whole.weights}
    for weight in stage5.weights:
        weight.assign(by_path[weight.path])
    x = np.random.default_rng(0).normal(size=(1, 64, 96, 3)).astype("float32")
    maps = whole(x)
    np.testing.assert_allclose(stage5(maps["C4"]), maps["C5"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("freeze_at", [0, 1, 2, 5])
def test_frozen_stages(freeze_at):
    model = build_resnet("resnet18", norm="batch", freeze_at=freeze_at)
    stages = {w.path.split("_")[0] for w in model.trainable_weights}
    assert stages == {"stem", "res2", "res3", "res4", "res5"} - {
        *("stem", "res2", "res3", "res4", "res5")[:freeze_at]
    }


def test_frozen_batch_norm_keeps_its_statistics_while_others_learn():
    model = build_resnet("resnet18", norm="batch", freeze_at=2, outputs=("C3",))
    before = {w.path: np.array(w) for w in model.weights if "moving" in w.path}
    model(np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype("float32"), training=True)
    changed = {
        w.path.split("_")[0]
        for w in model.weights
        if w.path in before and np.any(np.array(w) != before[w.path])
    }
    assert changed == {"res3"}


def test_frozen_batch_norm_normalises_by_its_statistics_in_training():
    """As in detectron2; torchvision's v2 models take the batch's in all stages."""
    model = build_resnet("resnet18", norm="batch", freeze_at=2, outputs=("C2", "C3"))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "moving_mean" in weight.path:
            weight.assign(rng.normal(size=weight.shape))
    x = rng.normal(size=(2, 64, 64, 3)).astype("float32")
    training, inference = model(x, training=True), model(x, training=False)
    np.testing.assert_allclose(training["C2"], inference["C2"], rtol=1e-4, atol=1e-4)
    assert np.abs(training["C3"] - inference["C3"]).mean() > 0.1


def test_only_wanted_stages_are_built():
    model = build_resnet("resnet50", outputs=("C4",))
    assert set(model.output) == {"C4"}
    assert not [layer.name for layer in model.layers if layer.name.startswith("res5")]


@pytest.mark.parametrize(
    ("kind", "trained", "kept"),
    [
        ("frozen", 0, 4),
        ("frozen_statistics", 2, 2),
        ("batch", 2, 2),
        ("sync_batch", 2, 2),
        ("group", 2, 0),
    ],
)
def test_norms(kind, trained, kept):
    norm = make_norm(kind, 1e-3)
    norm.build((None, None, None, 64))
    assert (len(norm.trainable_weights), len(norm.non_trainable_weights)) == (trained, kept)
    assert norm.epsilon == 1e-3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: build_resnet("resnet49"), "Received: backbone='resnet49'"),
        (lambda: build_resnet("resnet18", norm="layer"), "Received: norm='layer'"),
        (lambda: build_resnet("resnet18", freeze_at=6), "Received: freeze_at=6"),
        (lambda: build_resnet("resnet18", outputs=("C6",)), "Received: output='C6'"),
        (lambda: build_resnet("resnet18", outputs=()), "at least one"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_round_trip(tmp_path):
    model = build_resnet(
        "resnext101_32x8d", norm="group", norm_epsilon=1e-3, freeze_at=1, outputs=("C2",)
    )
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    x = np.random.default_rng(0).normal(size=(1, 32, 32, 3)).astype("float32")
    np.testing.assert_array_equal(loaded(x)["C2"], model(x)["C2"])
    assert [w.path for w in loaded.trainable_weights] == [w.path for w in model.trainable_weights]
