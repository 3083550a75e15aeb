"""COCO metrics of a model, of results, of results files, as a callback; and what explains them."""

from keras_maskrcnn.evaluation.analysis import Analysis, analyse, analyse_files
from keras_maskrcnn.evaluation.callback import CocoEvaluation
from keras_maskrcnn.evaluation.coco import coco_metrics, evaluate_coco
from keras_maskrcnn.evaluation.files import evaluate_coco_files
from keras_maskrcnn.evaluation.found import CocoResults, coco_results
from keras_maskrcnn.evaluation.metrics import CocoMetrics

__all__ = [
    "Analysis",
    "CocoEvaluation",
    "CocoMetrics",
    "CocoResults",
    "analyse",
    "analyse_files",
    "coco_metrics",
    "coco_results",
    "evaluate_coco",
    "evaluate_coco_files",
]
