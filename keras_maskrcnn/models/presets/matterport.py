"""The model of Matterport's port."""

from __future__ import annotations

import types
from typing import Any

from keras_maskrcnn.matterport import MATTERPORT_CONVENTIONS
from keras_maskrcnn.models.coco_classes import COCO_IDS
from keras_maskrcnn.models.presets.preset import COCO_80, Preset, merged

_URL = "https://github.com/matterport/Mask_RCNN/releases/download/v2.0/"
_SOURCE = "facebookresearch/maskrcnn-benchmark, issue 449 (COCO 2014 minival)"

# Architecture and settings, which Matterport's users may have changed for models of their own. Its
# ratios are widths over heights.
_MATTERPORT: dict[str, Any] = {
    "backbone": "resnet101",
    "backbone.norm_epsilon": 1e-3,
    "neck.norm_epsilon": 1e-3,
    "min_size": 800,
    "max_size": 1024,
    "size_divisor": 1024,
    "rpn": {
        "anchor_ratios": (2.0, 1.0, 0.5),
        "channels": 512,
        "match_zero_iou": True,
        "pre_nms_train": 6000,
        "pre_nms_test": 6000,
        "beta": 1.0,
    },
    "box": {
        "samples": 200,
        "positive_fraction": 0.33,
        "beta": 1.0,
        "score_threshold": 0.7,
        "nms_iou": 0.3,
    },
    "mask.target_style": "binary",
    **MATTERPORT_CONVENTIONS,
}

MATTERPORT = (
    Preset(
        name="matterport_mask_rcnn_coco",
        arguments=merged(_MATTERPORT, COCO_80),
        category_ids=COCO_IDS,
        url=f"{_URL}mask_rcnn_coco.h5",
        checksum="",
        algorithm="sha256",
        published=types.MappingProxyType({"box": 34.7}),
        source=_SOURCE,
    ),
)
