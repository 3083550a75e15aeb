"""Learning rates over a run."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_maskrcnn.names import DECAYS


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class WarmupSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises linearly, then falls in steps, along a cosine, or not at all.

    Args:
        learning_rate: the highest rate.
        total_steps: steps of the whole run; afterwards the rate stays.
        warmup_steps: steps until the highest rate is reached, from a thousandth of it (Goyal et
            al. 2017; detectron2's factor).
        decay: `"step"` (a tenth after 2/3 of the run and again after 8/9: the reference's 60k and
            80k of 90k), `"cosine"` (down to 0) or `"constant"`.
        steps_per_update: batches whose gradients make one step, as of an optimizer with
            `gradient_accumulation_steps`: Keras' optimizers count batches.

    Example:

    >>> steps = len(dataset) * epochs
    >>> rate = WarmupSchedule(0.0025, steps, warmup_steps=500, decay="cosine")
    >>> model.compile(keras.optimizers.SGD(rate, momentum=0.9))
    """

    def __init__(
        self,
        learning_rate: float,
        total_steps: int,
        warmup_steps: int = 0,
        decay: str = "step",
        steps_per_update: int = 1,
    ) -> None:
        super().__init__()
        if decay not in DECAYS:
            raise ValueError(f"decay must be one of {DECAYS}. Received: decay={decay!r}")
        self.learning_rate = learning_rate
        self.total_steps = total_steps
        self.warmup_steps = warmup_steps
        self.decay = decay
        self.steps_per_update = steps_per_update

    def __call__(self, step: Any) -> Any:
        if self.steps_per_update > 1:
            step = ops.floor_divide(step, self.steps_per_update)
        step = ops.cast(step, "float32")
        progress = ops.clip(step / max(1, self.total_steps), 0.0, 1.0)
        warmup: Any = 1.0
        if self.warmup_steps:
            warmup = warmup_factor(ops.minimum(step / self.warmup_steps, 1.0))
        return self.learning_rate * warmup * decay_factor(progress, self.decay)

    def get_config(self) -> dict[str, Any]:
        return {
            "learning_rate": self.learning_rate,
            "total_steps": self.total_steps,
            "warmup_steps": self.warmup_steps,
            "decay": self.decay,
            "steps_per_update": self.steps_per_update,
        }


def warmup_factor(share: Any) -> Any:
    """Part of the highest rate at some share of a warm-up, in 0..1."""
    return 0.001 + 0.999 * share


def decay_factor(progress: Any, decay: str) -> Any:
    """Part of the highest rate at some share of a run, in 0..1; see `WarmupSchedule`."""
    if decay == "step":
        falls = ops.cast(progress >= 2 / 3, "float32") + ops.cast(progress >= 8 / 9, "float32")
        return ops.power(0.1, falls)
    if decay == "cosine":
        return 0.5 * (1.0 + ops.cos(math.pi * progress))
    return ops.ones_like(progress)
