"""Heads: targets, forward pass, losses and results together. A file each."""

from keras_maskrcnn.heads.base import HEADS, HeadContext, MatchedRoIs, RoIHead
from keras_maskrcnn.heads.box import BOXES, Box
from keras_maskrcnn.heads.cascade import Cascade
from keras_maskrcnn.heads.keypoint import Keypoint
from keras_maskrcnn.heads.mask import Mask
from keras_maskrcnn.heads.mask_mlp import MLPMask
from keras_maskrcnn.heads.masks import MaskRoIHead
from keras_maskrcnn.heads.rpn import RPN, RPNS

__all__ = [
    "BOXES",
    "HEADS",
    "RPN",
    "RPNS",
    "Box",
    "Cascade",
    "HeadContext",
    "Keypoint",
    "MLPMask",
    "Mask",
    "MaskRoIHead",
    "MatchedRoIs",
    "RoIHead",
]
