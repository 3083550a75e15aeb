"""A run that time ends: its rate follows the clock, and there is time to evaluate in the end."""

from __future__ import annotations

import logging
import statistics
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import keras

from keras_maskrcnn.schedules import decay_factor, warmup_factor
from keras_maskrcnn.training.optimizers import WARMUP_SHARE, WARMUP_STEPS, highest_rate
from keras_maskrcnn.training.options import TrainingOptions

logger = logging.getLogger("keras_maskrcnn")

# Steps whose median tells how long one takes.
_STEPS = 9
# Part of the time that is kept free for the end of an epoch before one has been seen.
_UNSEEN = 0.1


class TimedRun(keras.callbacks.Callback):
    """Sets the learning rate by the share of time that is gone, and stops in time.

    The schedule runs over the time that is left when the end of an epoch (validation, evaluation,
    saving) is taken off, as long as such an end has lately been. The run stops within an epoch, or
    before one that would have room for no step; either way that epoch ends like others.

    Args:
        options: with `minutes`.
        seconds: what an interrupted run has used of them.
        clock: gives seconds.
    """

    def __init__(
        self,
        options: TrainingOptions,
        seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        if options.minutes is None:
            raise ValueError("Expected options with minutes. Received: minutes=None")
        self.options = options
        self.limit = 60.0 * options.minutes
        self.clock = clock
        self._used = seconds
        self._started: float | None = None
        self._batches = 0
        self._batch_began = self._trained = 0.0
        self._steps: deque[float] = deque(maxlen=_STEPS)
        self._is_traced = False
        # Among the last `evaluate_every` ends is one with an evaluation.
        self._ends: deque[float] = deque(maxlen=options.evaluate_every)
        self._progress = 0.0

    @property
    def seconds(self) -> float:
        """Time used so far, earlier parts of the run included."""
        return self._used + (0.0 if self._started is None else self.clock() - self._started)

    @property
    def reserve(self) -> float:
        """Seconds that the end of an epoch takes."""
        return max(self._ends, default=_UNSEEN * self.limit)

    @property
    def progress(self) -> float:
        """Which part of the schedule is over, in 0..1; it never goes back."""
        budget = max(self.limit - self.reserve, 1e-6)
        self._progress = max(self._progress, min(self.seconds / budget, 1.0))
        return self._progress

    def rate(self) -> float:
        """The learning rate at this moment."""
        progress, options = self.progress, self.options
        updates = self._batches // options.accumulate
        if options.warmup_steps is None:
            warm = max(progress / WARMUP_SHARE, updates / WARMUP_STEPS)
        else:
            warm = updates / options.warmup_steps if options.warmup_steps else 1.0
        factor = warmup_factor(min(warm, 1.0)) * decay_factor(progress, options.schedule)
        return highest_rate(options) * float(factor)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._started = self.clock()
        self._batches = int(self.model.optimizer.iterations) * self.options.accumulate

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._trained:
            self._ends.append(self.seconds - self._trained)
            logger.info(
                "epoch %d begins after %.1f of %g minutes; about %d epochs fit",
                *(epoch + 1, self.seconds / 60, self.options.minutes),
                max(epoch + 1, round(epoch * self.limit / max(self.seconds, 1e-6))),
            )

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._batch_began = self.seconds
        self.model.optimizer.learning_rate = self.rate()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._batches += 1
        self._trained = self.seconds
        if self._is_traced:
            self._steps.append(self._trained - self._batch_began)
        self._is_traced = True  # The first step of a process takes a minute longer.
        needed = self.reserve + (statistics.median(self._steps) if self._steps else 0.0)
        if batch + 1 == self.params["steps"]:
            needed += self.reserve
        if self._trained + needed > self.limit:
            self.model.stop_training = True


class TimedBar(keras.callbacks.ProgbarLogger):
    """Keras' progress bar, with the time in place of how many epochs there will be.

    Args:
        timed: of the same run.
    """

    def __init__(self, timed: TimedRun) -> None:
        super().__init__()
        self.timed = timed

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params({**params, "epochs": 1})

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_begin(epoch, logs)
        if self.verbose:
            minutes = self.timed.options.minutes
            print(f"Epoch {epoch + 1}, after {self.timed.seconds / 60:.1f} of {minutes:g} minutes")
