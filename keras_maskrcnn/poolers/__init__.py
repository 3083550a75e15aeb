"""Poolers: from feature maps and boxes to grids of one size. A file each."""

from keras_maskrcnn.poolers.base import POOLERS, RoIPooler, make_pooler
from keras_maskrcnn.poolers.crop_and_resize import CropAndResizeLayer
from keras_maskrcnn.poolers.roi_align import RoIAlignLayer
from keras_maskrcnn.poolers.roi_pool import RoIPoolLayer
from keras_maskrcnn.poolers.roi_warp import RoIWarpLayer

__all__ = [
    "POOLERS",
    "CropAndResizeLayer",
    "RoIAlignLayer",
    "RoIPoolLayer",
    "RoIPooler",
    "RoIWarpLayer",
    "make_pooler",
]
