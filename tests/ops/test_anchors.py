"""Anchors against torchvision's and detectron2's."""

import numpy as np
import pytest
from keras import ops

from keras_maskrcnn.layers.anchor_layer import AnchorLayer
from keras_maskrcnn.ops.anchors import cell_anchors, grid_anchors

FPN_SIZES = ((32,), (64,), (128,), (256,), (512,))
RATIOS = (0.5, 1.0, 2.0)
STRIDES = (4, 8, 16, 32, 64)


def test_one_cell_by_hand():
    cells = cell_anchors((32,), (0.25, 1.0), "exact")
    np.testing.assert_allclose(cells, [[-32, -8, 32, 8], [-16, -16, 16, 16]], rtol=1e-6)
    grid = grid_anchors(cells[1:], (1, 2), (8, 8), offset=0.5)
    np.testing.assert_allclose(grid, [[-12, -12, 20, 20], [-4, -12, 28, 20]])


def _anchors(sizes, strides, shape, grids, style):
    layer = AnchorLayer(sizes, RATIOS, strides, style=style)
    images = np.zeros((1, *shape, 3), "float32")
    features = [np.zeros((1, *grid, 1), "float32") for grid in grids]
    return np.concatenate([ops.convert_to_numpy(a)[0] for a in layer(images, features)])


@pytest.mark.parametrize("index", range(6))
def test_grids_equal_torchvision(golden, golden_info, index):
    case = golden_info("anchors")["cases"][index]
    fpn = case["array"].startswith("fpn")
    sizes = FPN_SIZES if fpn else (tuple(s[0] for s in FPN_SIZES),)
    got = _anchors(
        sizes, STRIDES if fpn else (16,), case["padded_image_hw"], case["grids"], "torchvision"
    )
    assert len(got) == case["total"]
    step = int(case["stored"].strip("[:]"))
    np.testing.assert_array_equal(got[::step], golden("anchors")[case["array"]])


@pytest.mark.parametrize(
    ("array", "shape", "step"),
    [
        ("anchors_fpn_128x160", (128, 160), 1),
        ("anchors_fpn_320x416_step37", (320, 416), 37),
        ("anchors_c4_128x160", (128, 160), 1),
    ],
)
def test_grids_equal_detectron2(golden, array, shape, step):
    if "c4" in array:
        sizes, strides = (tuple(s[0] for s in FPN_SIZES),), (16,)
    else:
        sizes, strides = FPN_SIZES, STRIDES
    grids = [(-(-shape[0] // s), -(-shape[1] // s)) for s in strides]
    got = _anchors(sizes, strides, shape, grids, "exact")
    np.testing.assert_allclose(got[::step], golden("d2_ops")[array], rtol=1e-5, atol=1e-4)
