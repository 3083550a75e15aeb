"""The optimizer that follows from the options of a run."""

from __future__ import annotations

from typing import Any

import keras

from keras_maskrcnn.schedules import WarmupSchedule
from keras_maskrcnn.training.options import TrainingOptions

# Updates, of which a warm-up is at most as long where nothing is said.
WARMUP_STEPS = 1000
# The part of a run, likewise.
WARMUP_SHARE = 0.1


def highest_rate(options: TrainingOptions) -> float:
    """The learning rate after the warm-up."""
    if options.learning_rate is not None:
        return options.learning_rate
    pictures = options.batch_size * options.accumulate
    return 0.02 * pictures / 16 if options.optimizer == "sgd" else 2e-4


def make_optimizer(options: TrainingOptions, total_steps: int | None) -> keras.optimizers.Optimizer:
    """The optimizer of a run.

    Weight decay is not its business: the model's own regularisation loss holds it.

    Args:
        options: of the run.
        total_steps: batches of the whole run; `None` where time ends it: then the rate is a
            variable, which `timing.TimedRun` sets.
    """
    rate: Any = highest_rate(options)
    if total_steps is not None:
        updates = total_steps // options.accumulate
        warmup_steps = options.warmup_steps
        if warmup_steps is None:
            warmup_steps = min(WARMUP_STEPS, int(updates * WARMUP_SHARE))
        rate = WarmupSchedule(rate, updates, warmup_steps, options.schedule, options.accumulate)
    return with_rate(options, rate)


def with_rate(options: TrainingOptions, rate: Any) -> keras.optimizers.Optimizer:
    """The optimizer with a rate or schedule other than that of the options."""
    further: dict[str, Any] = {"global_clipnorm": options.clip_norm}
    if options.accumulate > 1:
        further["gradient_accumulation_steps"] = options.accumulate
    if options.ema is not None:
        # Keras averages after every batch, also where only the last of several changes weights.
        momentum = options.ema ** (1 / options.accumulate)
        further |= {"use_ema": True, "ema_momentum": momentum}
    if options.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=0.9, **further)
    return keras.optimizers.Adam(rate, **further)
