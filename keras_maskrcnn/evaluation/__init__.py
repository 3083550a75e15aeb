"""COCO metrics, as a function and as a callback."""

from keras_maskrcnn.evaluation.callback import CocoEvaluation
from keras_maskrcnn.evaluation.coco import CocoMetrics, coco_metrics, evaluate_coco

__all__ = ["CocoEvaluation", "CocoMetrics", "coco_metrics", "evaluate_coco"]
