"""Callbacks that save the model after an epoch."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
from pathlib import Path
from typing import Any

import keras

from keras_maskrcnn.evaluation import CocoEvaluation
from keras_maskrcnn.models.finite import require_finite_weights
from keras_maskrcnn.training.averages import WeightAverages
from keras_maskrcnn.training.folder import RunFolder
from keras_maskrcnn.training.monitors import is_loss
from keras_maskrcnn.training.state import TrainingState, best_epoch, save_model
from keras_maskrcnn.training.timing import TimedRun

logger = logging.getLogger("keras_maskrcnn")


class SafeCheckpoint(keras.callbacks.Callback):
    """Saves the whole model after an epoch, never leaving a half-written file.

    `keras.callbacks.ModelCheckpoint` writes in place, so that an interrupt while it writes loses
    the good file that was there. This one writes aside and then renames. Weights that are not
    finite do not replace good ones.

    Args:
        path: a `.keras` file.
        monitor: name of a number in the logs, larger is better: the file is written when it is
            larger than ever before. `None`: written after every epoch.
        best: the largest value of an earlier part of the run.

    Raises:
        OSError: when the file cannot be written; no part of it stays.
        NonFiniteError: when a weight is not finite.
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
        require_finite_weights(self.model)
        save_model(self.model, self.path)


class RunCheckpoint(keras.callbacks.Callback):
    """Writes a run's folder after each epoch, so that the run can go on from there.

    Stands after the evaluation among the callbacks, as its numbers belong to the epoch.

    Args:
        run: the folder.
        state: where the run begins: what `RunFolder.state` gave, or a new state.
        monitor: name of the number whose best epoch `best.keras` keeps.
        evaluation: the run's evaluation, which repeats its latest numbers between evaluations.
        averages: of the weights, which `best.keras` holds in their place.
        patience: evaluations in a row without a better `monitor` after which the run ends.
        timed: of a run that time ends.

    Raises:
        NonFiniteError: when a weight is not finite; the folder keeps the epoch before.
    """

    def __init__(
        self,
        run: RunFolder,
        state: TrainingState,
        monitor: str,
        evaluation: CocoEvaluation | None = None,
        *,
        averages: WeightAverages | None = None,
        patience: int | None = None,
        timed: TimedRun | None = None,
    ) -> None:
        super().__init__()
        self.run = run
        self.state = state
        self.monitor = monitor
        self.evaluation = evaluation
        self.averages = averages
        self.patience = patience
        self.timed = timed
        self._metrics = state.evaluation

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self.evaluation is not None:
            self.evaluation.metrics = self.state.evaluation

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        require_finite_weights(self.model)
        row = {"epoch": float(epoch + 1), **{k: float(v) for k, v in (logs or {}).items()}}
        metrics = self.evaluation.metrics if self.evaluation is not None else None
        is_new = is_loss(self.monitor) or metrics is not self._metrics
        self._metrics = metrics
        history = (*self.state.history, row)
        is_best = best_epoch(history, self.monitor) == len(history) - 1
        stale = 0 if is_best else self.state.stale + is_new
        if self.patience is not None and stale >= self.patience:
            self.model.stop_training = True
            logger.warning(
                "epoch %d: the run ends, for %d evaluations had no better %s",
                *(epoch + 1, stale, self.monitor),
            )
        self.state = dataclasses.replace(
            self.state,
            history=history,
            evaluation=None if metrics is None else {k: float(v) for k, v in metrics.items()},
            stale=stale,
            seconds=0.0 if self.timed is None else self.timed.seconds,
            ended=bool(self.model.stop_training),
        )
        self.run.save(self.model, self.state, self.monitor, self.averages)
