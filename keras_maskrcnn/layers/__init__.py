"""The layers of a Mask R-CNN, for models of one's own.

Imported when they are first used: poolers stand on a floor above the other layers.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_maskrcnn.layers.anchor_layer import AnchorLayer
    from keras_maskrcnn.layers.anchor_target_layer import AnchorTargetLayer
    from keras_maskrcnn.layers.box_head import BoxHead
    from keras_maskrcnn.layers.detection_layer import DetectionLayer
    from keras_maskrcnn.layers.detection_target_layer import DetectionTargetLayer
    from keras_maskrcnn.layers.keypoint_head import KeypointHead
    from keras_maskrcnn.layers.mask_head import MaskHead
    from keras_maskrcnn.layers.proposal_layer import ProposalLayer
    from keras_maskrcnn.layers.rpn_head import RPNHead
    from keras_maskrcnn.poolers.roi_align import RoIAlignLayer

__all__ = [
    "AnchorLayer",
    "AnchorTargetLayer",
    "BoxHead",
    "DetectionLayer",
    "DetectionTargetLayer",
    "KeypointHead",
    "MaskHead",
    "ProposalLayer",
    "RPNHead",
    "RoIAlignLayer",
]

_PLACES = {
    "AnchorLayer": "layers.anchor_layer",
    "AnchorTargetLayer": "layers.anchor_target_layer",
    "BoxHead": "layers.box_head",
    "DetectionLayer": "layers.detection_layer",
    "DetectionTargetLayer": "layers.detection_target_layer",
    "KeypointHead": "layers.keypoint_head",
    "MaskHead": "layers.mask_head",
    "ProposalLayer": "layers.proposal_layer",
    "RPNHead": "layers.rpn_head",
    "RoIAlignLayer": "poolers.roi_align",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"keras_maskrcnn.{_PLACES[name]}"), name)
