"""Models of torchvision."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

from keras_maskrcnn.models.presets.preset import COCO_90, PERSON, Preset, merged

_URL = "https://download.pytorch.org/models/"
_SOURCE = "torchvision.models, docs of the weights (COCO val2017)"

# Everything in which torchvision's models differ from our defaults, see the golden files' traps;
# but for what makes no difference to what weights mean: masks are pasted on float boxes, crowds are
# no negatives, and the RPN's losses are over the samples asked for (see `RPN`).
_TORCHVISION: dict[str, Any] = {
    "backbone": {"name": "resnet50", "preprocessing": "torch"},
    "rpn": {"anchor_style": "torchvision", "match_zero_iou": True, "beta": 1.0 / 9.0},
    "box": {"beta": 1.0 / 9.0},
    "pooler": {"name": "roi_align", "aligned": False, "sampling_ratio": 2},
}
# As torchvision does when it loads these files.
_FROZEN_WITHOUT_EPSILON: dict[str, Any] = {
    "backbone.norm": "frozen",
    "backbone.norm_epsilon": 0.0,
    "neck.norm_epsilon": 0.0,
}


def _preset(name: str, file: str, *layers: Mapping[str, Any], **published: float) -> Preset:
    arguments = merged(_TORCHVISION, *layers)
    keypoints = arguments["num_classes"] == 1
    return Preset(
        name=name,
        arguments=arguments,
        category_ids=(1,) if keypoints else tuple(range(1, 91)),
        url=_URL + file,
        checksum=file.removesuffix(".pth").rpartition("-")[2],
        algorithm="sha256",
        published=types.MappingProxyType(published),
        source=_SOURCE,
    )


TORCHVISION = (
    _preset(
        "maskrcnn_resnet50_fpn_coco",
        "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
        COCO_90,
        _FROZEN_WITHOUT_EPSILON,
        box=37.9,
        mask=34.6,
    ),
    _preset(
        "maskrcnn_resnet50_fpn_v2_coco",
        "maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth",
        COCO_90,
        {
            "backbone.norm": "batch",
            "neck.norm": "batch",
            "rpn.convs": 2,
            "box": {"norm": "batch", "convs": 4, "fcs": 1},
            "mask.norm": "batch",
        },
        box=47.4,
        mask=41.8,
    ),
    _preset(
        "keypointrcnn_resnet50_fpn_coco",
        "keypointrcnn_resnet50_fpn_coco-fc266e95.pth",
        PERSON,
        _FROZEN_WITHOUT_EPSILON,
        {"heads": ({"name": "keypoint", "num_keypoints": 17, "shift": 0.5},)},
        box=54.6,
        keypoint=65.0,
    ),
)
