"""COCO metrics of a model, of results, of results files, as a callback; and what explains them.

Names are imported when they are first used: processes that score results do not wait for Keras.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_maskrcnn.evaluation.analysis import Analysis, analyse, analyse_files
    from keras_maskrcnn.evaluation.callback import CocoEvaluation
    from keras_maskrcnn.evaluation.coco import coco_metrics, evaluate_coco
    from keras_maskrcnn.evaluation.files import evaluate_coco_files
    from keras_maskrcnn.evaluation.found import CocoResults, coco_results
    from keras_maskrcnn.evaluation.metrics import CocoMetrics

_PLACES = {
    "Analysis": "analysis",
    "CocoEvaluation": "callback",
    "CocoMetrics": "metrics",
    "CocoResults": "found",
    "analyse": "analysis",
    "analyse_files": "analysis",
    "coco_metrics": "coco",
    "coco_results": "found",
    "evaluate_coco": "coco",
    "evaluate_coco_files": "files",
}

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


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
