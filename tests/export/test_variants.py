"""Exports of models that differ from the one of the other tests, against `predict`."""

import numpy as np
import pytest
import tensorflow as tf
from exported_model import (
    assert_results_equal,
    distinct_model,
    encode,
    make_picture,
    same_arithmetic,
)
from helpers import MASK, keypoint_head, tiny_model

PICTURES = [make_picture(90, 70, 0), make_picture(64, 120, 1)]
# As the presets of detectron2's C4 models bind them, but for sizes, numbers and norm.
C4 = {
    "neck": "c4",
    "backbone": {
        "name": "resnet50",
        "stride_in_1x1": True,
        "norm": "group",  # the features of random weights would grow without end otherwise
        "preprocessing": "caffe",
    },
    "rpn": {"anchor_sizes": ((8, 16, 32, 48, 64),)},
    "box": {"pool_size": 14, "fcs": 0},
    "mask.convs": 0,
    "pooler": {"name": "roi_align", "sampling_ratio": 0},
    "size_divisor": 1,
}


MAPS = {"rpn": {"anchor_sizes": ((8, 16, 32, 48, 64),)}, "size_divisor": 1}
MLP = {"name": "mask_mlp", "dim": 32, "output": "softmax"}
# Parts of the paper's comparisons and of its successors.
PAPER = {
    "cascade": {"box": {"name": "cascade", "dim": 64}},
    "perceptron, softmax": {"heads": (MLP,)},
    "class-agnostic": {
        "box.class_agnostic": True,
        "mask.output": "class_agnostic",
        "mask.upsampling": "bilinear",
    },
    "dc5": {"neck": "dc5", **MAPS},
    "c5": {"neck": "c5", **MAPS},
    "RoIPool": {"pooler": "roi_pool"},
    "masks and keypoints": {"heads": (MASK, keypoint_head(3))},
}


@pytest.mark.parametrize(
    ("fields", "tolerance"),
    [
        *(pytest.param(fields, {}, marks=pytest.mark.slow) for fields in PAPER.values()),
        # Without fully connected layers before them, the last ones need no gain.
        pytest.param({**C4, "gain": 1.0}, {}, marks=pytest.mark.slow),
        pytest.param({"heads": (keypoint_head(3),)}, {}, marks=pytest.mark.slow),
        # Two graphs round at other places, and the logits here reach 16, where bfloat16 numbers
        # are 1/16 apart.
        pytest.param(
            {"dtype": "mixed_bfloat16"},
            {"atol": 2.0**-4, "pixels": 0.1},
            marks=pytest.mark.slow,
        ),
        pytest.param({"box.nms": "soft_gaussian"}, {}, marks=pytest.mark.slow),
        pytest.param({"box.nms": "soft_linear"}, {}, marks=pytest.mark.slow),
        pytest.param({"box.nms": "cross_class"}, {}, marks=pytest.mark.slow),
    ],
    ids=[
        *(*PAPER, "c4", "keypoints alone", "mixed_bfloat16"),
        *("soft_gaussian", "soft_linear", "cross_class"),
    ],
)
def test_export_equals_predict(fields, tolerance, tmp_path):
    model = distinct_model(**fields)
    contents = [encode(picture, "PNG") for picture in PICTURES]
    with same_arithmetic():
        by_pixels = [model.predict(picture, verbose=0)[0] for picture in PICTURES]
        in_one_batch = model.predict(PICTURES, batch_size=2, verbose=0)
    assert min(map(len, by_pixels)) > 1
    model.export(tmp_path, verbose=False)
    signatures = tf.saved_model.load(str(tmp_path / "1")).signatures
    outputs = {k: v.numpy() for k, v in signatures["encoded"](tf.constant(contents)).items()}
    for row, expected in enumerate(in_one_batch):
        assert_results_equal(outputs, row, expected, **tolerance)
    for picture, expected in zip(PICTURES, by_pixels, strict=True):
        outputs = signatures["serving_default"](tf.constant(picture[None]))
        assert_results_equal({k: v.numpy() for k, v in outputs.items()}, 0, expected, **tolerance)
    assert set(model.result_names) <= set(outputs)
    assert {v.dtype for k, v in outputs.items() if k in ("boxes", "scores")} == {tf.float32}
    assert all(np.isfinite(v).all() for v in outputs.values() if v.dtype == tf.float32)


@pytest.mark.slow  # An export, loaded again.
def test_pictures_without_objects(tmp_path):
    model = tiny_model(box={"score_threshold": 1.0})
    model.export(tmp_path, verbose=False)
    signatures = tf.saved_model.load(str(tmp_path / "1")).signatures
    contents = [encode(picture, "PNG") for picture in PICTURES]
    for outputs in (
        signatures["encoded"](tf.constant(contents)),
        signatures["serving_default"](tf.constant(np.stack([PICTURES[0], PICTURES[0][::-1]]))),
    ):
        assert outputs["counts"].numpy().tolist() == [0, 0]
        assert not outputs["masks"].numpy().any()
        np.testing.assert_array_equal(outputs["classes"], -1)
