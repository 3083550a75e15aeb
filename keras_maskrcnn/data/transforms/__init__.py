"""What happens to pictures and their objects between reading and drawing, a file each."""

from keras_maskrcnn.data.transforms.base import (
    TRANSFORMS,
    Action,
    Sample,
    Transform,
    make_transforms,
    transform_sample,
)
from keras_maskrcnn.data.transforms.flip import Flip
from keras_maskrcnn.data.transforms.move import Move

__all__ = [
    "TRANSFORMS",
    "Action",
    "Flip",
    "Move",
    "Sample",
    "Transform",
    "make_transforms",
    "transform_sample",
]
