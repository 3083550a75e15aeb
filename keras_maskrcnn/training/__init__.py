"""What a training run is: its options, its folder, its checkpoints.

Names are imported when they are first used: a command checks options and folders without Keras.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_maskrcnn.training.checkpoints import RunCheckpoint, SafeCheckpoint
    from keras_maskrcnn.training.folder import RunFolder
    from keras_maskrcnn.training.monitors import monitored
    from keras_maskrcnn.training.optimizers import make_optimizer
    from keras_maskrcnn.training.options import OPTIMIZERS, TrainingOptions
    from keras_maskrcnn.training.rate_finder import RateSearch, find_learning_rate
    from keras_maskrcnn.training.run import train_model
    from keras_maskrcnn.training.state import TrainingState, best_epoch
    from keras_maskrcnn.training.workers import Workers

_PLACES = {
    "OPTIMIZERS": "options",
    "RateSearch": "rate_finder",
    "RunCheckpoint": "checkpoints",
    "RunFolder": "folder",
    "SafeCheckpoint": "checkpoints",
    "TrainingOptions": "options",
    "TrainingState": "state",
    "Workers": "workers",
    "best_epoch": "state",
    "find_learning_rate": "rate_finder",
    "make_optimizer": "optimizers",
    "monitored": "monitors",
    "train_model": "run",
}

__all__ = [
    "OPTIMIZERS",
    "RateSearch",
    "RunCheckpoint",
    "RunFolder",
    "SafeCheckpoint",
    "TrainingOptions",
    "TrainingState",
    "Workers",
    "best_epoch",
    "find_learning_rate",
    "make_optimizer",
    "monitored",
    "train_model",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = value
    return value
