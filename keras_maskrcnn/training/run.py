"""From a model and two data sets to a run folder: what `maskrcnn train` and the demo share.

A run folder holds `history.csv`, `best.keras` (by `val_mask_ap`, or `val_box_ap` without a mask
head), `last.keras`, `learning_curves.png` and `predictions.png`; while the run is going, also
`backup/`, from which an interrupted run goes on.
"""

from __future__ import annotations

import logging
import math
import os
from typing import TYPE_CHECKING, Any

import keras

from keras_maskrcnn.evaluation import CocoEvaluation
from keras_maskrcnn.training.checkpoints import SafeCheckpoint
from keras_maskrcnn.training.folder import RunFolder
from keras_maskrcnn.training.options import TrainingOptions, make_optimizer

if TYPE_CHECKING:
    from keras_maskrcnn.data.records import DetectionData

logger = logging.getLogger("keras_maskrcnn")


class _EpochReport(keras.callbacks.Callback):
    """After each epoch one line in the package's log, and the learning curves drawn anew."""

    def __init__(self, run: RunFolder) -> None:
        super().__init__()
        self.run = run

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        numbers = "  ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
        logger.info("epoch %d: %s", epoch + 1, numbers)
        self.run.draw_learning_curves()


def train_model(
    model: keras.Model,
    train_data: DetectionData,
    val_data: DetectionData,
    folder: str | os.PathLike[str],
    options: TrainingOptions,
) -> list[dict[str, float]]:
    """Trains a model into a run folder, or goes on where an interrupted run in it stopped.

    Args:
        model: a `MaskRCNN`; it is compiled here. Afterwards it has the last epoch's weights.
        train_data, val_data: pictures to train on, and to validate on after each epoch.
        folder: the run folder; it is created.
        options: how to train.

    Returns:
        The history: one dictionary of numbers per epoch, earlier parts of the run included.
    """
    run = RunFolder(folder)
    run.path.mkdir(parents=True, exist_ok=True)
    train = train_data.batches(
        options.batch_size,
        min_size=options.min_size,
        max_size=options.max_size,
        shuffle=True,
        augment=options.flip,
        seed=options.seed,
        size_divisor=model.config.size_divisor,
    )
    val = val_data.batches(
        options.batch_size,
        min_size=model.config.min_size,
        max_size=model.config.max_size,
        size_divisor=model.config.size_divisor,
    )
    model.compile(optimizer=make_optimizer(options, len(train) * options.epochs))
    monitor = "val_mask_ap" if model.config.predict_masks else "val_box_ap"
    earlier = [row[monitor] for row in run.history()[: run.epochs_done()]]
    earlier = [value for value in earlier if not math.isnan(value)]
    model.fit(
        train,
        validation_data=val,
        shuffle=False,  # The data set does that itself.
        epochs=options.epochs,
        callbacks=[
            CocoEvaluation(val_data, options.batch_size, every=options.evaluate_every),
            SafeCheckpoint(run.best_file, monitor, max(earlier, default=None)),
            SafeCheckpoint(run.last_file),
            keras.callbacks.CSVLogger(str(run.history_file), append=True),
            _EpochReport(run),
            # Last, so that an epoch counts as done only when all of the above is written.
            keras.callbacks.BackupAndRestore(str(run.backup_dir), double_checkpoint=True),
        ],
    )
    run.draw_predictions(keras.saving.load_model(run.best_file), val_data)
    return run.history()
