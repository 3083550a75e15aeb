"""Searches for a learning rate: the loss of steps whose rate grows until the loss explodes."""

from __future__ import annotations

import csv
import dataclasses
import math
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_maskrcnn.models.finite import NonFiniteError
from keras_maskrcnn.notebook import bar_verbosity
from keras_maskrcnn.training.files import replacing
from keras_maskrcnn.training.folder import RunFolder
from keras_maskrcnn.training.freezing import Freeze
from keras_maskrcnn.training.optimizers import with_rate
from keras_maskrcnn.training.options import TrainingOptions

if TYPE_CHECKING:
    from keras_maskrcnn.data.detection_data import DetectionData

# Times the smallest loss so far, from which on a smoothed loss counts as exploded.
_EXPLODED = 4.0
# Of the loss that decides whether it has: a step's weight in its average.
_NEW = 0.1
# Steps on either side whose median stands for a step.
_SIDE = 4
# Part of its fall by which a loss may have risen from its lowest, and still count as there: noise.
_NOISE = 0.1
# What the suggestion is of the highest rate of which that holds.
_PART = 0.1
RULE = "a tenth of the highest rate before the smoothed loss rose from its lowest"


@dataclasses.dataclass(frozen=True)
class RateSearch:
    """What a search for a learning rate found.

    Args:
        rates: of the updates, growing.
        losses: of their batches, before the update, without the weight penalty.
        smoothed: for each loss the median of those around it.
        suggestion: a highest rate for training, by `RULE`; `None` where the loss never fell.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    suggestion: float | None

    def __str__(self) -> str:
        if self.suggestion is None:
            return "No learning rate to suggest: the loss did not fall at any rate that was tried"
        text = f"Learning rate: {self.suggestion:.2g} ({RULE}"
        if self.suggestion == _PART * self.rates[-1]:
            text += ", which it did at none that was tried"
        return text + ")"


def find_learning_rate(
    model: keras.Model,
    data: DetectionData,
    options: TrainingOptions | None = None,
    folder: str | os.PathLike[str] | RunFolder | None = None,
    *,
    lowest: float = 1e-7,
    highest: float = 10.0,
    updates: int = 100,
    progress: bool = True,
) -> RateSearch:
    """Searches for a learning rate (Smith 2017, arXiv 1506.01186, section 3.3).

    The rate grows exponentially from update to update. The search ends when the loss explodes.

    Args:
        model: a `MaskRCNN`. It is compiled here, and in the end has the weights that it had.
        data: pictures to train on; those that cannot be read are left out.
        options: of the training to come: batches, optimizer and what is frozen are as these say.
        folder: where to write `learning_rate.csv` and `learning_rate.png`; `None`: nowhere.
        lowest, highest: the range of rates.
        updates: how many rates are tried.
        progress: whether to show a progress bar; where the output is a file, it is a line at the
            end.

    Raises:
        ValueError: for a range or number of updates that is none.

    Example:

    >>> found = find_learning_rate(model, data, TrainingOptions(batch_size=2))
    >>> options = TrainingOptions(batch_size=2, learning_rate=found.suggestion)
    """
    from keras_maskrcnn.data.readable import leave_out_unreadable

    options = options or TrainingOptions()
    readable = leave_out_unreadable(data, by_parts=options.tiling is not None)
    batches = readable.batches(model=model, **options.batch_settings())
    freeze = None if options.freeze is None else Freeze(model, options.freeze)
    if freeze is not None:
        freeze.begin(0)

    def start() -> None:
        model.compile(with_rate(dataclasses.replace(options, ema=None), lowest))

    try:
        found = search(
            *(model, batches, start, lowest, highest, updates, options.accumulate),
            verbose=bar_verbosity() if progress else 0,
        )
    finally:
        if freeze is not None:
            freeze.end()
    if folder is not None:
        _write(found, folder if isinstance(folder, RunFolder) else RunFolder(folder))
    return found


def search(
    model: keras.Model,
    batches: Any,
    start: Callable[[], None],
    lowest: float,
    highest: float,
    updates: int,
    accumulate: int = 1,
    *,
    verbose: int = 0,
) -> RateSearch:
    """The search itself, for any Keras model.

    Args:
        model: to be trained; its variables are set back.
        batches: a `tf.data.Dataset` for `fit`, of known length.
        start: compiles it with an optimizer whose rate can be set.
        lowest, highest, updates: see `find_learning_rate`.
        accumulate: batches for each update.
        verbose: of the progress bar.
    """
    if not 0 < lowest < highest < math.inf or updates < 2:
        raise ValueError(
            "Expected 0 < lowest < highest and at least 2 updates. "
            f"Received: lowest={lowest}, highest={highest}, updates={updates}"
        )
    before = [keras.ops.convert_to_numpy(variable) for variable in model.variables]
    start()
    ramp = _Ramp(np.geomspace(lowest, highest, updates), accumulate, verbose)
    epochs = math.ceil(updates * accumulate / len(batches))
    try:
        model.fit(batches, epochs=epochs, shuffle=False, callbacks=[ramp], verbose=0)
    except NonFiniteError:
        pass  # The end of a search, as an explosion is.
    finally:
        ramp.end_bar()
        for variable, value in zip(model.variables, before, strict=True):
            variable.assign(value)
    return judge([float(rate) for rate in ramp.rates[: len(ramp.losses)]], ramp.losses)


class _Ramp(keras.callbacks.Callback):
    """Sets the rates one after the other, keeps the losses, and shows how far the search is."""

    def __init__(self, rates: np.ndarray, accumulate: int, verbose: int) -> None:
        super().__init__()
        self.rates = rates
        self.accumulate = accumulate
        self.losses: list[float] = []
        self._parts: list[float] = []
        self._average = 0.0
        self._least = math.inf
        self._tried = 0
        self._shown: list[tuple[str, float]] = []
        self._bar = keras.utils.Progbar(
            len(rates),
            verbose=verbose,
            stateful_metrics=["learning_rate", "loss"],
            unit_name="update",
        )

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.model.optimizer.learning_rate = float(self.rates[len(self.losses)])
        self.model.reset_metrics()  # Or the logs would be means of all batches.

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        numbers = logs or {}
        # The penalty is larger than all else, and what a step does to it tells nothing.
        loss = float(numbers["loss"]) - float(numbers.get("regularization_loss", 0.0))
        self._parts.append(loss)
        if len(self._parts) < self.accumulate:
            return
        loss = sum(self._parts) / self.accumulate
        self._parts = []
        self._shown = [("learning_rate", float(self.rates[self._tried])), ("loss", loss)]
        self._tried += 1
        self._bar.update(self._tried, self._shown, finalize=False)
        if math.isfinite(loss):
            self.losses.append(loss)
        self._average += _NEW * (loss - self._average)
        average = self._average / (1 - (1 - _NEW) ** max(len(self.losses), 1))
        self._least = min(self._least, average)
        is_over = not math.isfinite(loss) or average > _EXPLODED * self._least
        if is_over or len(self.losses) == len(self.rates):
            self.model.stop_training = True

    def end_bar(self) -> None:
        """Writes the last line of the bar, which an explosion ends early."""
        if self._tried:
            self._bar.update(self._tried, self._shown, finalize=True)


def judge(rates: Sequence[float], losses: Sequence[float]) -> RateSearch:
    """Smooths losses, and suggests a rate by `RULE`."""
    places = range(len(losses))
    smoothed = [float(np.median(losses[max(0, i - _SIDE) : i + _SIDE + 1])) for i in places]
    suggestion = None
    if smoothed and min(smoothed) < smoothed[0]:
        lowest = min(smoothed)
        limit = lowest + _NOISE * (smoothed[0] - lowest)
        place = smoothed.index(lowest)
        while place + 1 < len(smoothed) and smoothed[place + 1] <= limit:
            place += 1
        suggestion = _PART * rates[place]
    return RateSearch(tuple(rates), tuple(losses), tuple(smoothed), suggestion)


def _write(found: RateSearch, run: RunFolder) -> None:
    from keras_maskrcnn.plots import plot_rates

    with (
        run.lock(),
        replacing(run.rates_file) as partial,
        partial.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["learning_rate", "loss", "smoothed"])
        writer.writerows(zip(found.rates, found.losses, found.smoothed, strict=True))
    with run.lock(), replacing(run.rates_plot) as partial:
        plot_rates(found.rates, found.losses, found.smoothed, partial, chosen=found.suggestion)
