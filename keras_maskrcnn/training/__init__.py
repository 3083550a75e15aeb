"""What a training run is: its options, its folder, its checkpoints."""

from keras_maskrcnn.training.checkpoints import RunCheckpoint, SafeCheckpoint
from keras_maskrcnn.training.folder import RunFolder
from keras_maskrcnn.training.options import OPTIMIZERS, TrainingOptions, make_optimizer
from keras_maskrcnn.training.run import monitored, train_model
from keras_maskrcnn.training.state import TrainingState, best_epoch

__all__ = [
    "OPTIMIZERS",
    "RunCheckpoint",
    "RunFolder",
    "SafeCheckpoint",
    "TrainingOptions",
    "TrainingState",
    "best_epoch",
    "make_optimizer",
    "monitored",
    "train_model",
]
