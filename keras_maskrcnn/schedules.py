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
    ) -> None:
        super().__init__()
        if decay not in DECAYS:
            raise ValueError(f"decay must be one of {DECAYS}. Received: decay={decay!r}")
        self.learning_rate = learning_rate
        self.total_steps = total_steps
        self.warmup_steps = warmup_steps
        self.decay = decay

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        warmup = ops.minimum(step / max(1, self.warmup_steps), 1.0)
        warmup = 0.001 + 0.999 * warmup if self.warmup_steps else 1.0
        progress = ops.clip(step / max(1, self.total_steps), 0.0, 1.0)
        if self.decay == "step":
            falls = ops.cast(progress >= 2 / 3, "float32") + ops.cast(progress >= 8 / 9, "float32")
            decayed = ops.power(0.1, falls)
        elif self.decay == "cosine":
            decayed = 0.5 * (1.0 + ops.cos(math.pi * progress))
        else:
            decayed = ops.ones_like(progress)
        return self.learning_rate * warmup * decayed

    def get_config(self) -> dict[str, Any]:
        return {
            "learning_rate": self.learning_rate,
            "total_steps": self.total_steps,
            "warmup_steps": self.warmup_steps,
            "decay": self.decay,
        }
