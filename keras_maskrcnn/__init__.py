"""Mask R-CNN for Keras 3 on TensorFlow."""

from keras_maskrcnn.models.config import MaskRCNNConfig
from keras_maskrcnn.models.mask_rcnn import MaskRCNN

__version__ = "0.1.0"
