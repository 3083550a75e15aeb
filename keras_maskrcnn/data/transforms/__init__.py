"""What happens to pictures and their objects between reading and drawing, a file each."""

from keras_maskrcnn.data.transforms.base import (
    TRANSFORMS,
    Action,
    Sample,
    Transform,
    make_transforms,
    transform_sample,
)
from keras_maskrcnn.data.transforms.blur import Blur
from keras_maskrcnn.data.transforms.color import Color
from keras_maskrcnn.data.transforms.cutout import Cutout
from keras_maskrcnn.data.transforms.flip import Flip
from keras_maskrcnn.data.transforms.function import FunctionTransform
from keras_maskrcnn.data.transforms.jpeg import JPEG
from keras_maskrcnn.data.transforms.keras_layer import KerasLayerTransform
from keras_maskrcnn.data.transforms.move import Move
from keras_maskrcnn.data.transforms.noise import Noise
from keras_maskrcnn.data.transforms.pixels import PixelAction

__all__ = [
    "JPEG",
    "TRANSFORMS",
    "Action",
    "Blur",
    "Color",
    "Cutout",
    "Flip",
    "FunctionTransform",
    "KerasLayerTransform",
    "Move",
    "Noise",
    "PixelAction",
    "Sample",
    "Transform",
    "make_transforms",
    "transform_sample",
]
