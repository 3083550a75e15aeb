"""COCO metrics: of a model, of results, of results files, and as a callback."""

from keras_maskrcnn.evaluation.callback import CocoEvaluation
from keras_maskrcnn.evaluation.coco import coco_metrics, evaluate_coco
from keras_maskrcnn.evaluation.files import evaluate_coco_files
from keras_maskrcnn.evaluation.metrics import CocoMetrics

__all__ = [
    "CocoEvaluation",
    "CocoMetrics",
    "coco_metrics",
    "evaluate_coco",
    "evaluate_coco_files",
]
