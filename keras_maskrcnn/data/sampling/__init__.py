"""How often each picture comes in a pass, a file each."""

from keras_maskrcnn.data.sampling.base import SAMPLINGS, Every, Sampling
from keras_maskrcnn.data.sampling.class_balanced import ClassBalanced
from keras_maskrcnn.data.sampling.repeat_factor import RepeatFactor

__all__ = ["SAMPLINGS", "ClassBalanced", "Every", "RepeatFactor", "Sampling"]
