"""What happens to pictures and their objects between reading and drawing, a file each."""

from keras_maskrcnn.data.transforms.base import (
    TRANSFORMS,
    Action,
    Sample,
    Sometimes,
    Surroundings,
    Transform,
    added_objects,
    make_transforms,
    transform_sample,
)
from keras_maskrcnn.data.transforms.blur import Blur
from keras_maskrcnn.data.transforms.color import Color
from keras_maskrcnn.data.transforms.copy_paste import CopyPaste
from keras_maskrcnn.data.transforms.cutout import Cutout
from keras_maskrcnn.data.transforms.flip import Flip
from keras_maskrcnn.data.transforms.function import FunctionTransform
from keras_maskrcnn.data.transforms.fused import Fused
from keras_maskrcnn.data.transforms.jpeg import JPEG
from keras_maskrcnn.data.transforms.keras_layer import KerasLayerTransform
from keras_maskrcnn.data.transforms.move import Move
from keras_maskrcnn.data.transforms.noise import Noise
from keras_maskrcnn.data.transforms.perspective import Perspective
from keras_maskrcnn.data.transforms.pixels import PixelAction
from keras_maskrcnn.data.transforms.policies import POLICIES
from keras_maskrcnn.data.transforms.quarter_turn import QuarterTurn
from keras_maskrcnn.data.transforms.random_crop import RandomCrop
from keras_maskrcnn.data.transforms.rotate import Rotate
from keras_maskrcnn.data.transforms.scale_jitter import ScaleJitter
from keras_maskrcnn.data.transforms.shear import Shear
from keras_maskrcnn.data.transforms.vertical_flip import VerticalFlip
from keras_maskrcnn.data.transforms.warp import Warp, Warping

__all__ = [
    "JPEG",
    "POLICIES",
    "TRANSFORMS",
    "Action",
    "Blur",
    "Color",
    "CopyPaste",
    "Cutout",
    "Flip",
    "FunctionTransform",
    "Fused",
    "KerasLayerTransform",
    "Move",
    "Noise",
    "Perspective",
    "PixelAction",
    "QuarterTurn",
    "RandomCrop",
    "Rotate",
    "Sample",
    "ScaleJitter",
    "Shear",
    "Sometimes",
    "Surroundings",
    "Transform",
    "VerticalFlip",
    "Warp",
    "Warping",
    "added_objects",
    "make_transforms",
    "transform_sample",
]
