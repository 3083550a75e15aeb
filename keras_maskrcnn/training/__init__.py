"""What a training run is: its options, its folder, its checkpoints."""

from keras_maskrcnn.training.checkpoints import SafeCheckpoint
from keras_maskrcnn.training.folder import RunFolder
from keras_maskrcnn.training.options import OPTIMIZERS, TrainingOptions, make_optimizer
from keras_maskrcnn.training.run import train_model

__all__ = [
    "OPTIMIZERS",
    "RunFolder",
    "SafeCheckpoint",
    "TrainingOptions",
    "make_optimizer",
    "train_model",
]
