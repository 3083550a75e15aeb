"""What detectron2's transforms gave: pictures, boxes, outlines, keypoints."""

import numpy as np
import pytest

from keras_maskrcnn.data.records import Instance
from keras_maskrcnn.data.transforms import Sample
from keras_maskrcnn.data.transforms.flip import FlipAction
from keras_maskrcnn.data.transforms.fused import FusedMove
from keras_maskrcnn.data.transforms.random_crop import CropAction
from keras_maskrcnn.data.transforms.rotate import RotateAction
from keras_maskrcnn.data.transforms.scale_jitter import ScaleJitterAction
from keras_maskrcnn.outlines import Bitmap, Polygons

pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # pycocotools
FILE = "extensions/augmentation_ops"
RESIZED = {"fill": 128}
LARGER = ScaleJitterAction((84, 106), (0, 7), (96, 96), **RESIZED)
ACTIONS = {
    "hflip": FlipAction(),
    "resize_shortest_100": ScaleJitterAction((100, 125), (0, 0), (100, 125)),
    "resize_shortest_37": ScaleJitterAction((37, 46), (0, 0), (37, 46)),
    "lsj_0p5_96x96": ScaleJitterAction((38, 48), (0, 0), (96, 96), **RESIZED),
    "lsj_1p6_96x96_crop_u0p3": ScaleJitterAction((123, 154), (8, 17), (96, 96), **RESIZED),
    "lsj_1p1_96x96_flip": FusedMove((LARGER, FlipAction()), **RESIZED),
    "rotate17_expand": RotateAction(17.0, expand=True, fill=0),
    "rotate17_keep": RotateAction(17.0, fill=0),
    "crop_x22_y11_w41_h37": CropAction((11, 22), (37, 41)),
    "crop_splits_polygon": CropAction((35, 25), (25, 50)),
}
# Those of which a part alone is resized.
PARTS = ("lsj_1p6_96x96_crop_u0p3", "lsj_1p1_96x96_flip")
POLYGONS = 4
# Their vertices are whole numbers, which detectron2's ResizeTransform cuts to whole numbers again.
WHOLE_NUMBERS = (2, 3)


@pytest.fixture(scope="module")
def arrays(golden):
    return golden(FILE)


def given(arrays, info):
    pairs = enumerate(info["keypoint_flip_indices"])
    instances = []
    for k, (box, points) in enumerate(zip(arrays["boxes"], arrays["keypoints"], strict=True)):
        if k < POLYGONS:
            outline = Polygons([arrays[n] for n in sorted(arrays) if n.startswith(f"polygon{k}_")])
        else:
            bits = np.unpackbits(arrays["rle_masks"][k - POLYGONS], axis=-1)[:, :80]
            outline = Bitmap(bits).to_rle(64, 80)
        box = tuple(box.tolist())
        instances.append(Instance(0, box, outline, False, None, k, points))
    return Sample(arrays["image"], tuple(instances), tuple((a, b) for a, b in pairs if a < b))


@pytest.mark.parametrize("name", ACTIONS)
def test_pictures(name, arrays, golden_info):
    found = ACTIONS[name].apply(given(arrays, golden_info(FILE))).image.astype(int)
    expected = arrays[f"{name}/image"].astype(int)
    assert found.shape == expected.shape
    different = np.abs(found - expected)
    if name.startswith("rotate"):
        # OpenCV rounds places to 1/32 of a pixel, and mixes the border with what lies beyond.
        assert np.median(different) == 0 and np.quantile(different, 0.9) <= 1
    elif name in PARTS:
        # Of a part that is resized, ties of rounding may fall the other way.
        assert different.max() <= 1 and (different > 0).mean() < 0.005
    else:
        assert different.max() == 0


@pytest.mark.parametrize("name", ACTIONS)
def test_outlines(name, arrays, golden_info):
    """Bits, as the COCO tools draw them, and the boxes of what is left."""
    sample = given(arrays, golden_info(FILE))
    after = ACTIONS[name].apply(sample)
    found = {i.annotation_id: i for i in after.instances}
    height, width = after.size
    recomputed = iter(arrays[f"{name}/boxes_recomputed_from_polygons"])
    for k in range(POLYGONS):
        bits = np.unpackbits(arrays[f"{name}/polygon{k}_bits"], axis=-1)[:, :width] > 0
        if k not in found:
            assert not bits.any()
            continue
        drawn = found[k].outline.draw_whole(height, width) > 0
        box = next(recomputed)
        if k in WHOLE_NUMBERS and ("resize" in name or "lsj" in name):
            continue
        # Cut or not, a vertex more or less: so differs how the tools round them.
        assert (drawn ^ bits).sum() <= (3 if name.startswith("rotate") else 0)
        # Vertices that left the picture are not cut in theirs.
        if not name.startswith("rotate"):
            np.testing.assert_allclose(found[k].outline.bounds(), box, atol=1e-4)
    masks = np.unpackbits(arrays[f"{name}/rle_masks_bits"], axis=-1)[..., :width] > 0
    for k, bits in enumerate(masks, POLYGONS):
        drawn = np.zeros_like(bits)
        if k in found:
            drawn = found[k].outline.draw_whole(height, width) > 0
        # Theirs takes the nearest pixel, which moves edges by up to half of one.
        rim = 0 if name == "hflip" or name.startswith("crop") else 0.06 * bits.sum() + 12
        assert (drawn ^ bits).sum() <= rim


@pytest.mark.parametrize("name", ACTIONS)
def test_boxes_and_keypoints(name, arrays, golden_info):
    sample = given(arrays, golden_info(FILE))
    after = ACTIONS[name].apply(sample)
    moved, compared = arrays[f"{name}/keypoints_annotation"], 0
    for thing in after.instances:
        k = thing.annotation_id
        np.testing.assert_allclose(thing.keypoints, moved[k], atol=1e-3)
        raw = arrays[f"{name}/boxes_raw"][k]
        inside = raw.min() >= 0 and raw[2] <= after.size[1] and raw[3] <= after.size[0]
        if inside and not name.startswith("rotate"):
            np.testing.assert_allclose(thing.box, raw, atol=1e-9)
            compared += 1
    assert compared >= 2 or name.startswith(("rotate", "crop"))
