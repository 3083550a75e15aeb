"""RoIAlign against what torchvision and detectron2 computed."""

import numpy as np
import pytest
from roi_align_cases import SCALES, channels_last, pool, pool_with_gradient


def test_golden_roi_align(backend, golden, golden_info):
    data = golden("roi_align")
    for case in golden_info("roi_align")["cases"]:
        sampling_ratio = max(case["sampling_ratio"], 0)
        if backend == "gather" and sampling_ratio == 0:
            continue
        name = case["prefix"]
        rois = data[name + "rois"]
        pooled, gradients = pool_with_gradient(
            [channels_last(data["x"])],
            rois[:, 1:],
            channels_last(data[name + "upstream"]),
            backend,
            images=rois[:, 0].astype(np.int32),
            scales=[case["spatial_scale"]],
            output_size=tuple(case["output_size"]),
            sampling_ratio=sampling_ratio,
            aligned=case["aligned"],
        )
        expected = data[name + "out"], data[name + "grad_x"]
        for ours, theirs in zip((pooled, gradients[0]), expected, strict=True):
            np.testing.assert_allclose(ours, channels_last(theirs), 1e-5, 1e-5, err_msg=str(case))


def test_golden_pyramid(backend, golden, golden_info):
    data = golden("multiscale_roi_align")
    features = [channels_last(data[f"feat{level}"]) for level in range(4)]
    boxes = np.concatenate([data["boxes_img0"], data["boxes_img1"]])
    images = np.repeat([0, 1], [64, 40]).astype(np.int32)
    chosen = {"m0_": slice(None), "m1_": slice(52, 76), "m2_": slice(None)}
    for case in golden_info("multiscale_roi_align")["cases"]:
        if backend == "gather" and case["sampling_ratio"] == 0:
            continue
        rois = chosen[case["prefix"]]
        pooled = pool(
            features,
            boxes[rois],
            backend,
            images=images[rois],
            levels=data["levels"][rois].astype(np.int32),
            scales=case["scales"],
            output_size=case["output_size"],
            sampling_ratio=case["sampling_ratio"],
            aligned=False,
        )
        expected = channels_last(data[case["prefix"] + "out"])
        np.testing.assert_allclose(pooled, expected, rtol=1e-5, atol=1e-5)


def test_golden_detectron2_pooler(backend, golden):
    if backend == "gather":
        pytest.skip("gather takes a fixed number of samples")
    data, pyramid = golden("d2_ops"), golden("multiscale_roi_align")
    boxes = np.concatenate([data["pooler_boxes_img0"], pyramid["boxes_img1"]])
    side = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    levels = np.floor(4 + np.log2(side / 224 + 1e-8)).clip(2, 5).astype(np.int32) - 2
    pooled = pool(
        [channels_last(pyramid[f"feat{level}"]) for level in range(4)],
        boxes,
        backend,
        images=np.repeat([0, 1], 40).astype(np.int32),
        levels=levels,
        scales=SCALES,
        sampling_ratio=0,
    )
    expected = channels_last(data["pooler_out_7x7_sr0_aligned"])
    np.testing.assert_allclose(pooled, expected, rtol=1e-5, atol=1e-5)
