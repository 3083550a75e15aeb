"""Mask R-CNN for Keras 3 on TensorFlow.

Names are imported when they are first used, so that a command that needs no TensorFlow, such as
`maskrcnn --help`, does not wait for it. `keras.saving.load_model` finds only classes that have been
imported: where Keras is there already, the model is imported at once. `keras_maskrcnn.load_model`
works in any order.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_maskrcnn.data import DetectionData, ImageRecord, Instance, load_coco, measure_pixels
    from keras_maskrcnn.doctor import validate
    from keras_maskrcnn.evaluation import CocoEvaluation, coco_metrics, evaluate_coco
    from keras_maskrcnn.inference.augmented import TestTimeAugmentation
    from keras_maskrcnn.inference.tiling import Tiling
    from keras_maskrcnn.models.finite import NonFiniteError
    from keras_maskrcnn.models.loading import load_model
    from keras_maskrcnn.models.mask_rcnn import MaskRCNN
    from keras_maskrcnn.models.presets import PRESETS
    from keras_maskrcnn.results import Detections
    from keras_maskrcnn.schedules import WarmupSchedule

    __version__: str

_PLACES = {
    "CocoEvaluation": "evaluation",
    "DetectionData": "data",
    "Detections": "results",
    "ImageRecord": "data",
    "Instance": "data",
    "MaskRCNN": "models.mask_rcnn",
    "NonFiniteError": "models.finite",
    "PRESETS": "models.presets",
    "TestTimeAugmentation": "inference.augmented",
    "Tiling": "inference.tiling",
    "WarmupSchedule": "schedules",
    "coco_metrics": "evaluation",
    "evaluate_coco": "evaluation",
    "load_coco": "data",
    "load_model": "models.loading",
    "measure_pixels": "data",
    "validate": "doctor",
}

__all__ = [
    "PRESETS",
    "CocoEvaluation",
    "DetectionData",
    "Detections",
    "ImageRecord",
    "Instance",
    "MaskRCNN",
    "NonFiniteError",
    "TestTimeAugmentation",
    "Tiling",
    "WarmupSchedule",
    "coco_metrics",
    "evaluate_coco",
    "load_coco",
    "load_model",
    "measure_pixels",
    "validate",
]


def __getattr__(name: str) -> Any:
    value: Any
    if name == "__version__":
        value = importlib.import_module("importlib.metadata").version("maskrcnn-keras")
    elif name in _PLACES:
        value = getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})


if "keras" in sys.modules:
    __getattr__("MaskRCNN")
