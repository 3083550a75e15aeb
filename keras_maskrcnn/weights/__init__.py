"""Readers of other projects' weights."""

from keras_maskrcnn.weights.loading import (
    backbone_conventions,
    load_backbone_weights,
    load_detector_weights,
    load_preset_weights,
)
from keras_maskrcnn.weights.report import LoadReport
from keras_maskrcnn.weights.safe_pickle import UnsafeFileError
from keras_maskrcnn.weights.transfer import load_trained_weights

__all__ = [
    "LoadReport",
    "UnsafeFileError",
    "backbone_conventions",
    "load_backbone_weights",
    "load_detector_weights",
    "load_preset_weights",
    "load_trained_weights",
]
