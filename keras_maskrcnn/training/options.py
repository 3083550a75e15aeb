"""How a model is trained. Options are checked without Keras, which takes seconds to import."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from keras_maskrcnn.checks import at_least, one_of
from keras_maskrcnn.data.sampling import SAMPLINGS
from keras_maskrcnn.data.transforms import make_transforms
from keras_maskrcnn.images.tiling import Tiling, as_tiling
from keras_maskrcnn.names import DECAYS, FREEZES, OPTIMIZERS
from keras_maskrcnn.training.monitors import check_monitor

__all__ = ["OPTIMIZERS", "TrainingOptions"]

# Of a run without a limit of its time.
_EPOCHS = 12


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How a model is trained.

    Args:
        epochs: passes over the training pictures; `None`: 12, or as many as fit into `minutes`.
        minutes: how long to train, evaluations included, in place of `epochs`: warm-up and decay
            follow the share of the time that is gone, a resumed run takes what is left of it, and
            the end is kept free for a last evaluation. What comes before the first step and after
            that evaluation is not in it.
        batch_size: pictures per step, of all replicas and workers together.
        accumulate: steps whose gradients are averaged to one update of the weights: with little
            memory the updates of a batch `accumulate` times as large. Rates and `warmup_steps`
            count updates.
        optimizer: `"sgd"` (momentum .9, as in the paper) or `"adam"`.
        learning_rate: the highest one; `None`: .02 per 16 pictures of an update for SGD (Goyal et
            al. 2017, as in the reference implementations), 2e-4 for Adam.
        schedule: after the warm-up, `"step"` (a tenth after 2/3 and again after 8/9 of the run, the
            reference's 60k and 80k of 90k), `"cosine"` (down to 0) or `"constant"`.
        warmup_steps: updates of linear warm-up; `None`: a tenth of the run, at most 1000.
        clip_norm: limit of the gradient's global norm; no reference has one, but a fresh head's
            first steps can be wild. `None`: no limit.
        ema: momentum of a moving average of the weights, such as .999: of each update it takes
            `1 - ema`. What is evaluated and kept in `best.keras` are the averages, and in the end
            the model has them. Moving statistics of batch norms are not averaged again. `None`: no
            average.
        freeze: what does not train at first: `"backbone"`, so that neck, RPN and heads do (the
            "heads" of Matterport's port), or `"all_but_heads"`, the neck and the RPN neither.
            `None`: nothing beyond the backbone's own `freeze_at`.
        freeze_epochs: epochs until all of it trains; `None`: never.
        min_size, max_size: the pictures' size in training; see `DetectionData.batches`.
        tile, overlap: train on crops of the pictures in their own size, in place of `min_size` and
            `max_size`, and validate in tiles; see `DetectionData.batches`. `None`: whole pictures.
        augment, sampling: what happens to training pictures, and how often each comes in an epoch;
            see `DetectionData.batches`.
        evaluate_every: epochs between COCO evaluations.
        monitor: the number by which the best epoch is chosen: one of COCO's, such as `"mask_ap"`
            or `"box_ap50"`, or a validation loss, such as `"loss"` or `"mask_loss"`, which is
            better the smaller it is. `None`: `"mask_ap"`, or `"box_ap"` without a mask head.
        patience: evaluations in a row without a better `monitor` after which the run ends; a loss
            is evaluated in every epoch. `None`: it never ends early.
        tensorboard: whether to write losses, metrics, learning rate and pictures of predictions to
            the folder `tensorboard` of the run, too.
        seed: of order and augmentation.

    Raises:
        ValueError: when a value is out of range, or two options exclude each other.
        TypeError: when `augment` or `sampling` is something else than it may be.
    """

    epochs: int | None = None
    minutes: float | None = None
    batch_size: int = 2
    accumulate: int = 1
    optimizer: str = "sgd"
    learning_rate: float | None = None
    schedule: str = "step"
    warmup_steps: int | None = None
    clip_norm: float | None = 10.0
    ema: float | None = None
    freeze: str | None = None
    freeze_epochs: int | None = None
    min_size: int | tuple[int, ...] = 800
    max_size: int = 1333
    tile: int | Tiling | None = None
    overlap: int | None = None
    augment: Any = "flip"
    sampling: Any = None
    evaluate_every: int = 1
    monitor: str | None = None
    patience: int | None = None
    tensorboard: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs is not None and self.minutes is not None:
            raise ValueError(
                "Expected either epochs or minutes. "
                f"Received: epochs={self.epochs} and minutes={self.minutes}"
            )
        if self.epochs is None and self.minutes is None:
            object.__setattr__(self, "epochs", _EPOCHS)
        one_of("optimizer", self.optimizer, OPTIMIZERS)
        one_of("schedule", self.schedule, DECAYS)
        if self.freeze is not None:
            one_of("freeze", self.freeze, FREEZES)
        elif self.freeze_epochs is not None:
            raise ValueError(
                f"Expected freeze beside freeze_epochs. Received: freeze_epochs="
                f"{self.freeze_epochs} and freeze=None"
            )
        whole = ("epochs", "batch_size", "accumulate", "evaluate_every", "patience")
        self._check_whole(1, *whole, "freeze_epochs", "max_size")
        self._check_whole(0, "warmup_steps", "seed")
        if self.tiling is not None:
            for name, default in (("min_size", 800), ("max_size", 1333)):
                if getattr(self, name) != default:
                    raise ValueError(
                        f"Expected {name} only without tile. Received: tile={self.tile} and "
                        f"{name}={getattr(self, name)}"
                    )
        sizes = self.min_size if isinstance(self.min_size, tuple | list) else (self.min_size,)
        for size in sizes:
            at_least(1, min_size=size)
        for name in ("learning_rate", "clip_norm", "minutes"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be positive. Received: {name}={value}")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"ema must be between 0 and 1. Received: ema={self.ema}")
        if self.monitor is not None:
            check_monitor(self.monitor)
        # Made to find mistakes before data are read.
        transforms = make_transforms(self.augment)
        SAMPLINGS.make(self.sampling, default="all")
        if len(sizes) != 1 and not (sizes and transforms):
            raise ValueError(
                "Expected one min_size, or several with augmentation. "
                f"Received: min_size={self.min_size} and augment={self.augment!r}"
            )

    def _check_whole(self, minimum: int, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value is None:
                continue
            at_least(minimum, **{name: value})
            if value != int(value):
                raise ValueError(f"{name} must be a whole number. Received: {name}={value}")

    @property
    def tiling(self) -> Tiling | None:
        """How pictures are cut into crops and tiles; `None`: they are seen whole."""
        return as_tiling(self.tile, self.overlap)

    def batch_settings(self) -> dict[str, Any]:
        """The arguments of `DetectionData.batches` that make training batches."""
        names = ("batch_size", "augment", "sampling", "seed")
        sizes = ("tile", "overlap") if self.tiling is not None else ("min_size", "max_size")
        return {"shuffle": True, **{name: getattr(self, name) for name in names + sizes}}

    def describe(self) -> dict[str, Any]:
        """All options as JSON holds them; of a policy, the transforms that it stands for."""
        options = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        if isinstance(self.tile, Tiling):
            options["tile"] = dataclasses.asdict(self.tile)
        options["augment"] = [t.get_config() for t in make_transforms(self.augment)]
        options["sampling"] = SAMPLINGS.make(self.sampling, default="all").get_config()
        return options
