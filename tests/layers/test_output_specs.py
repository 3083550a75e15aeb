"""What layers say of their outputs without being traced is what they give."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import KerasTensor

from keras_maskrcnn.layers import AnchorLayer, DetectionTargetLayer, ProposalLayer
from keras_maskrcnn.layers.anchor_target_layer import AnchorTargetLayer
from keras_maskrcnn.layers.box_head import BoxHead
from keras_maskrcnn.layers.cascade import RefineBoxes, RelabelRoIs
from keras_maskrcnn.layers.detection_layer import NMS_RULES, DetectionLayer
from keras_maskrcnn.layers.mask_head import MaskHead
from keras_maskrcnn.layers.mask_outputs import OUTPUTS
from keras_maskrcnn.layers.mask_target_layer import KeypointTargetLayer, MaskTargetLayer
from keras_maskrcnn.ops.gather import take_rows

PICTURES = KerasTensor((None, 64, 64, 3))
SIZES = KerasTensor((None, 2), "int32")
ROIS, IMAGES = KerasTensor((None, 4)), KerasTensor((None,), "int32")
OBJECTS = (
    KerasTensor((None, None, 4)),
    KerasTensor((None, None), "int32"),
    KerasTensor((None, None, 4)),
)


def built_mask_head(**settings):
    """One that can be traced."""
    head = MaskHead(3, 1, 4, "sync_batch", **settings)
    head.build((None, 7, 7, 8), (None,))
    return head


CASES = {
    "anchors": (
        AnchorLayer(((8.0, 12.0), (16.0, 32.0)), (0.5, 1.0), (4, 8)),
        (PICTURES, [KerasTensor((None, 16, 16, 4)), KerasTensor((None, 8, 8, 4))]),
        {},
    ),
    "anchors of any size": (
        AnchorLayer(((8.0,),), (0.5, 1.0, 2.0), (4,)),
        (KerasTensor((None, None, None, 3)), [KerasTensor((None, None, None, 4))]),
        {},
    ),
    "anchor targets": (AnchorTargetLayer(), (KerasTensor((1, 30, 4)), *OBJECTS), {}),
    "detection targets": (
        DetectionTargetLayer(3, num_samples=16),
        (KerasTensor((None, 40, 4)), KerasTensor((None, 40), "bool"), *OBJECTS),
        {},
    ),
    **{
        f"proposals, training={training}": (
            ProposalLayer(pre_nms_train=9, pre_nms_test=8, num_train=7, num_test=6),
            (
                [KerasTensor((None, 30)), KerasTensor((None, 20))],
                [KerasTensor((None, 30, 4)), KerasTensor((None, 20, 4))],
                [KerasTensor((1, 30, 4)), KerasTensor((1, 20, 4))],
                SIZES,
            ),
            {"training": training},
        )
        for training in (False, True)
    },
    **{
        f"detections, {nms}": (
            DetectionLayer(max_detections=9, nms=nms),
            (
                KerasTensor((None, 12, 4)),
                KerasTensor((None, 12), "bool"),
                KerasTensor((None, 12, 4)),
                KerasTensor((None, 12, 3, 4)),
                SIZES,
            ),
            {},
        )
        for nms in NMS_RULES
    },
    "detections by one box for all classes": (
        DetectionLayer(max_detections=9),
        (
            KerasTensor((None, 12, 4)),
            KerasTensor((None, 12), "bool"),
            KerasTensor((None, 12, 4)),
            KerasTensor((None, 12, 1, 4)),
            SIZES,
        ),
        {},
    ),
    "refined boxes": (
        RefineBoxes((1.0, 1.0, 1.0, 1.0)),
        (ROIS, KerasTensor((None, 1, 4)), IMAGES, SIZES),
        {},
    ),
    "labels of refined boxes": (
        RelabelRoIs(3, 0.5, (1.0, 1.0, 1.0, 1.0)),
        (KerasTensor((None, 40, 4)), KerasTensor((None, 40), "bool"), *OBJECTS),
        {},
    ),
    **{
        f"boxes of RoIs, {convs} convolutions, one for all {agnostic}": (
            BoxHead(2, convs, fcs, 4, norm, class_agnostic=agnostic),
            (KerasTensor((None, 7, 7, 8)),),
            {"training": True},
        )
        for convs, fcs, norm, agnostic in ((0, 2, None, False), (1, 0, "sync_batch", True))
    },
    **{
        f"masks, {output}, {upsampling}": (
            built_mask_head(upsampling=upsampling, output=output),
            (KerasTensor((None, 7, 7, 8)), IMAGES),
            {"training": True},
        )
        for output in OUTPUTS
        for upsampling in ("deconv", "bilinear")
    },
    "mask targets": (
        MaskTargetLayer(14),
        (ROIS, IMAGES, IMAGES, KerasTensor((None, None, 112, 112), "uint8"), OBJECTS[0]),
        {},
    ),
    "keypoint targets": (
        KeypointTargetLayer(56),
        (ROIS, IMAGES, IMAGES, KerasTensor((None, None, 17, 3))),
        {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_specs_are_those_of_the_traced_call(name):
    layer, inputs, options = CASES[name]
    said = layer.compute_output_spec(*inputs, **options)
    traced = keras.layers.Layer.compute_output_spec(layer, *inputs, **options)
    keras.tree.assert_same_structure(said, traced)
    for a, b in zip(keras.tree.flatten(said), keras.tree.flatten(traced), strict=True):
        assert a.dtype == b.dtype
        assert len(a.shape) == len(b.shape)
        # What is known without tracing is what is found by it.
        known = [(x, y) for x, y in zip(a.shape, b.shape, strict=True) if None not in (x, y)]
        assert all(x == y for x, y in known), (a.shape, b.shape)
        assert all(x is not None or y is None for x, y in zip(a.shape, b.shape, strict=True))


def test_rows_by_hand():
    values = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    indices = np.array([[3, 0], [1, 1]], np.int32)
    found = take_rows(values, indices).numpy()
    np.testing.assert_array_equal(found, [values[0, [3, 0]], values[1, [1, 1]]])
    np.testing.assert_array_equal(take_rows(values[..., 0], indices), found[..., 0])
    assert take_rows(tf.zeros([2, 4]), tf.zeros([2, 0], tf.int32)).shape == (2, 0)
