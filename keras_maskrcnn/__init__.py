"""Mask R-CNN for Keras 3 on TensorFlow."""

from keras_maskrcnn.data import DetectionData, ImageRecord, Instance, load_coco
from keras_maskrcnn.detections import Detections
from keras_maskrcnn.evaluation import CocoEvaluation, coco_metrics, evaluate_coco
from keras_maskrcnn.models.config import MaskRCNNConfig
from keras_maskrcnn.models.finite import NonFiniteError
from keras_maskrcnn.models.mask_rcnn import MaskRCNN
from keras_maskrcnn.schedules import WarmupSchedule

__version__ = "0.1.0"

__all__ = [
    "CocoEvaluation",
    "DetectionData",
    "Detections",
    "ImageRecord",
    "Instance",
    "MaskRCNN",
    "MaskRCNNConfig",
    "NonFiniteError",
    "WarmupSchedule",
    "coco_metrics",
    "evaluate_coco",
    "load_coco",
]
