"""The op's kernels without TensorFlow: CUDA's on an emulated GPU, and their own checks."""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

TESTS = Path(__file__).resolve().parents[1] / "custom_ops" / "test"
sys.path.insert(0, str(TESTS.parent))
from c_interface import Level, Problem  # noqa: E402

ALIGN, ALIGN_GRADIENT = 0, 1
FLOAT = 0

pytestmark = pytest.mark.skipif(
    not (shutil.which("make") and shutil.which(os.environ.get("CXX", "g++"))),
    reason="needs make and a C++ compiler",
)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The CUDA kernels on an emulated GPU, behind their C interface."""
    folder = tmp_path_factory.mktemp("kernels")
    path = folder / "emulated.so"
    subprocess.run(["make", "-s", "-j2", "-C", TESTS, f"BUILD={folder}", path], check=True)
    return ctypes.CDLL(str(path))


def channels_last(array):
    return np.ascontiguousarray(np.moveaxis(array, 1, -1), np.float32)


def run(library, operation, maps, bins, *, boxes, images, levels, scales, sampling_ratio, aligned):
    """Writes into `bins`, or for the gradient into `maps`."""
    boxes = np.ascontiguousarray(boxes, np.float32)
    images, levels = (np.ascontiguousarray(a, np.int32) for a in (images, levels))
    sizes = zip(maps, scales, strict=True)
    level = (Level * 8)(*(Level(*m.shape[1:3], scale) for m, scale in sizes))
    batch, _, _, channels = maps[0].shape
    problem = Problem(
        *(batch, channels, len(maps), level, len(boxes)),
        *(boxes.ctypes.data, images.ctypes.data, levels.ctypes.data),
        *(*bins.shape[1:3], sampling_ratio, aligned),
    )
    pointers = (ctypes.c_void_p * len(maps))(*(m.ctypes.data for m in maps))
    error = library.maskrcnn_run(
        ctypes.byref(problem), FLOAT, operation, pointers, ctypes.c_void_p(bins.ctypes.data),
        None, None,
    )  # fmt: skip
    assert error == 0


def test_golden_roi_align(library, golden, golden_info):
    data = golden("roi_align")
    features = channels_last(data["x"])
    for case in golden_info("roi_align")["cases"]:
        name = case["prefix"]
        rois = data[name + "rois"]
        options = {
            "boxes": rois[:, 1:],
            "images": rois[:, 0],
            "levels": np.zeros(len(rois)),
            "scales": [case["spatial_scale"]],
            "sampling_ratio": max(case["sampling_ratio"], 0),
            "aligned": case["aligned"],
        }
        expected = channels_last(data[name + "out"])
        pooled = np.full_like(expected, np.nan)
        run(library, ALIGN, [features], pooled, **options)
        np.testing.assert_array_equal(pooled, expected, err_msg=str(case))
        gradient = np.full_like(features, np.nan)
        upstream = channels_last(data[name + "upstream"])
        run(library, ALIGN_GRADIENT, [gradient], upstream, **options)
        expected = channels_last(data[name + "grad_x"])
        np.testing.assert_allclose(gradient, expected, 1e-5, 1e-5, err_msg=str(case))


def test_golden_pyramid(library, golden, golden_info):
    data = golden("multiscale_roi_align")
    features = [channels_last(data[f"feat{level}"]) for level in range(4)]
    boxes = np.concatenate([data["boxes_img0"], data["boxes_img1"]])
    images = np.repeat([0, 1], [64, 40])
    chosen = {"m0_": slice(None), "m1_": slice(52, 76), "m2_": slice(None)}
    for case in golden_info("multiscale_roi_align")["cases"]:
        rois = chosen[case["prefix"]]
        expected = channels_last(data[case["prefix"] + "out"])
        pooled = np.full_like(expected, np.nan)
        run(
            library,
            ALIGN,
            features,
            pooled,
            boxes=boxes[rois],
            images=images[rois],
            levels=data["levels"][rois],
            scales=case["scales"],
            sampling_ratio=case["sampling_ratio"],
            aligned=False,
        )
        np.testing.assert_array_equal(pooled, expected, err_msg=str(case))


@pytest.mark.slow
def test_all_kernels_under_sanitizers():
    done = subprocess.run([TESTS / "sanitize.sh"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("all checks passed") == 6
