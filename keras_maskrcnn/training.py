"""From a model and two data sets to a run folder: what `maskrcnn train` and the demo share.

A run folder holds `history.csv`, `best.keras` (by `val_mask_ap`, or `val_box_ap` without a mask
head), `last.keras`, `learning_curves.png` and `predictions.png`; while the run is going, also
`backup/`, from which an interrupted run goes on.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from keras_maskrcnn.evaluation import CocoEvaluation
from keras_maskrcnn.run_folder import RunFolder
from keras_maskrcnn.schedules import DECAYS, WarmupSchedule

if TYPE_CHECKING:
    from keras_maskrcnn.data.records import DetectionData

OPTIMIZERS = ("sgd", "adam")

logger = logging.getLogger("keras_maskrcnn")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How a model is trained.

    Args:
        epochs: passes over the training pictures.
        batch_size: pictures per step.
        optimizer: `"sgd"` (momentum .9, as in the paper) or `"adam"`.
        learning_rate: the highest one; `None`: .02 per 16 pictures for SGD (Goyal et al. 2017, as
            in the reference implementations), 2e-4 for Adam.
        schedule: after the warm-up, `"step"` (a tenth after 2/3 and again after 8/9 of the run, the
            reference's 60k and 80k of 90k), `"cosine"` (down to 0) or `"constant"`.
        warmup_steps: steps of linear warm-up; `None`: a tenth of the run, at most 1000.
        clip_norm: limit of the gradient's global norm; no reference has one, but a fresh head's
            first steps can be wild. `None`: no limit.
        min_size, max_size: the pictures' size in training; see `DetectionData.batches`.
        flip: whether to mirror half of the training pictures.
        evaluate_every: epochs between COCO evaluations.
        seed: of order and augmentation.

    Raises:
        ValueError: when a value is out of range.
    """

    epochs: int = 12
    batch_size: int = 2
    optimizer: str = "sgd"
    learning_rate: float | None = None
    schedule: str = "step"
    warmup_steps: int | None = None
    clip_norm: float | None = 10.0
    min_size: int | tuple[int, ...] = 800
    max_size: int = 1333
    flip: bool = True
    evaluate_every: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in (("optimizer", OPTIMIZERS), ("schedule", DECAYS)):
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"{name} must be one of {allowed}. Received: {name}={value!r}")
        for name in ("epochs", "batch_size", "evaluate_every"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name} must be at least 1. Received: {name}={value}")
        for name in ("learning_rate", "clip_norm"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be positive. Received: {name}={value}")


def make_optimizer(options: TrainingOptions, total_steps: int) -> keras.optimizers.Optimizer:
    """The optimizer of a run of `total_steps`.

    Weight decay is not its business: the model's own regularisation loss holds it.
    """
    warmup_steps = options.warmup_steps
    if warmup_steps is None:
        warmup_steps = min(1000, total_steps // 10)
    rate = options.learning_rate
    if rate is None:
        rate = 0.02 * options.batch_size / 16 if options.optimizer == "sgd" else 2e-4
    schedule = WarmupSchedule(rate, total_steps, warmup_steps, options.schedule)
    if options.optimizer == "sgd":
        return keras.optimizers.SGD(schedule, momentum=0.9, global_clipnorm=options.clip_norm)
    return keras.optimizers.Adam(schedule, global_clipnorm=options.clip_norm)


class SafeCheckpoint(keras.callbacks.Callback):
    """Saves the whole model after an epoch, never leaving a half-written file.

    `keras.callbacks.ModelCheckpoint` writes in place, so that an interrupt while it writes loses
    the good file that was there. This one writes beside it and then renames.

    Args:
        path: a `.keras` file.
        monitor: name of a number in the logs, larger is better: the file is written when it is
            larger than ever before. `None`: written after every epoch.
        best: the largest value of an earlier part of the run.
    """

    def __init__(
        self, path: str | os.PathLike[str], monitor: str | None = None, best: float | None = None
    ) -> None:
        super().__init__()
        self.path = Path(path)
        if self.path.suffix != ".keras":
            raise ValueError(f"path must end with .keras. Received: path={str(path)!r}")
        self.monitor = monitor
        self.best = best

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.monitor is not None:
            if self.monitor not in (logs or {}):
                raise ValueError(
                    f"monitor must be in the logs, which hold {sorted(logs or {})}. "
                    f"Received: monitor={self.monitor!r}"
                )
            current = float((logs or {})[self.monitor])
            # Written so that nan (nothing to find in the data) counts as no improvement.
            if self.best is not None and not current > self.best:
                return
            self.best = None if math.isnan(current) else current
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f"{self.path.stem}.partial.keras")
        self.model.save(partial)
        os.replace(partial, self.path)


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
        masks=model.config.predict_masks,
    )
    val = val_data.batches(
        options.batch_size,
        min_size=model.config.min_size,
        max_size=model.config.max_size,
        size_divisor=model.config.size_divisor,
        masks=model.config.predict_masks,
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
