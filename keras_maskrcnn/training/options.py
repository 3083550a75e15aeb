"""How a model is trained, and the optimizer that follows from it."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras

from keras_maskrcnn.data.sampling import SAMPLINGS
from keras_maskrcnn.data.transforms import make_transforms
from keras_maskrcnn.names import DECAYS, OPTIMIZERS
from keras_maskrcnn.schedules import WarmupSchedule


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
        augment, sampling: what happens to training pictures, and how often each comes in an epoch;
            see `DetectionData.batches`.
        evaluate_every: epochs between COCO evaluations.
        seed: of order and augmentation.

    Raises:
        ValueError: when a value is out of range.
        TypeError: when `augment` or `sampling` is something else than it may be.
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
    augment: Any = "flip"
    sampling: Any = None
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
        # Made to find mistakes before data are read.
        make_transforms(self.augment)
        SAMPLINGS.make(self.sampling, default="all")

    def describe(self) -> dict[str, Any]:
        """All options as JSON holds them; of a policy, the transforms that it stands for."""
        options = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        options["augment"] = [t.get_config() for t in make_transforms(self.augment)]
        options["sampling"] = SAMPLINGS.make(self.sampling, default="all").get_config()
        return options


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
