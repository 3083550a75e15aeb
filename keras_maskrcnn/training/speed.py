"""How fast a model predicts and trains on this machine, and the memory that it takes.

Each number is a median of repeated calls after a first one, which also traces the graph and is
told apart.
"""

from __future__ import annotations

import dataclasses
import resource
import statistics
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from keras_maskrcnn.checks import at_least

if TYPE_CHECKING:
    from keras_maskrcnn.data.detection_data import DetectionData

_HEADER = ("", "pictures", "first, s", "median, s", "fastest, s", "slowest, s", "pictures/s", "MB")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Speed:
    """Time of one kind of step, and the memory at its end.

    Args:
        name: what was measured.
        batch_size: pictures of a step.
        first: seconds of the first step, which traces the graph.
        seconds: those of each further step.
        megabytes: the most memory that the process has had, of the GPU where there is one.
    """

    name: str
    batch_size: int
    first: float
    seconds: tuple[float, ...]
    megabytes: float

    @property
    def median(self) -> float:
        """Median seconds of a step."""
        return statistics.median(self.seconds)

    @property
    def pictures_per_second(self) -> float:
        """Pictures of the median step in a second."""
        return self.batch_size / self.median

    def to_json(self) -> dict[str, Any]:
        """All numbers, as JSON holds them."""
        return {
            **dataclasses.asdict(self),
            "median": self.median,
            "pictures_per_second": self.pictures_per_second,
        }


def speed_table(rows: Sequence[Speed]) -> str:
    """A line for each measurement."""
    cells: list[tuple[str, ...]] = [_HEADER]
    for row in rows:
        times = (row.first, row.median, min(row.seconds), max(row.seconds))
        cells.append(
            (
                row.name,
                str(row.batch_size),
                *(f"{value:.3f}" for value in times),
                f"{row.pictures_per_second:.2f}",
                f"{row.megabytes:.0f}",
            )
        )
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADER))]
    lines = (
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    )
    return "\n".join(line.rstrip() for line in lines)


def predict_speed(
    model: keras.Model, pictures: Sequence[Any], *, batch_size: int = 1, runs: int = 10
) -> Speed:
    """Times `model.predict`, from the file or array to `Detections`.

    Args:
        model: a `MaskRCNN`.
        pictures: as `predict` takes them; they are taken in turn. Unlike sizes can be unlike
            graphs: the first step of each counts as any other, so give pictures of one size, or
            more `runs` than there are sizes.
        batch_size: pictures of a call.
        runs: timed calls after the first.

    Returns:
        `Speed`, of a call.

    Raises:
        ValueError: without pictures, or for numbers less than 1.
    """
    if not len(pictures):
        raise ValueError("Expected at least one picture. Received: none")
    at_least(1, batch_size=batch_size, runs=runs)
    times = []
    for run in range(runs + 1):
        chosen = [pictures[(run * batch_size + k) % len(pictures)] for k in range(batch_size)]
        start = time.perf_counter()
        model.predict(chosen, batch_size=batch_size, verbose=0)
        times.append(time.perf_counter() - start)
    return _speed(f"predict, {model.compute_dtype}", batch_size, times)


def training_speed(
    model: keras.Model,
    data: DetectionData,
    *,
    batch_size: int = 2,
    augment: Any = "flip",
    runs: int = 10,
) -> Speed:
    """Times steps of `model.fit`, the reading of their pictures included.

    The model's weights change, and it is compiled anew with a rate of zero.

    Args:
        model: a `MaskRCNN`.
        data: what it trains on.
        batch_size: pictures of a step.
        augment: see `DetectionData.batches`.
        runs: timed steps after the first.

    Returns:
        `Speed`, of a step.

    Raises:
        ValueError: for numbers less than 1, or where `fit` raises it.
    """
    at_least(1, batch_size=batch_size, runs=runs)
    model.compile(keras.optimizers.SGD(0.0, momentum=0.9))
    batches = data.batches(batch_size, model=model, shuffle=True, augment=augment)
    clock = _StepClock()
    model.fit(batches.repeat(), steps_per_epoch=runs + 1, epochs=1, verbose=0, callbacks=[clock])
    return _speed(
        f"training step, {model.compute_dtype}", batch_size, np.diff(clock.times).tolist()
    )


class _StepClock(keras.callbacks.Callback):
    """The time before the first step, and after each."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self.times.append(time.perf_counter())

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.times.append(time.perf_counter())


def _speed(name: str, batch_size: int, times: list[float]) -> Speed:
    first, *further = times
    return Speed(
        name=name,
        batch_size=batch_size,
        first=first,
        seconds=tuple(further),
        megabytes=_peak_megabytes(),
    )


def _peak_megabytes() -> float:
    """Of the first GPU, or of the process."""
    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20
    # Linux counts kilobytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
