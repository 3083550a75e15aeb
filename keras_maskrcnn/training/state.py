"""What a run knows beside its model after an epoch, and how both lie in one file."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_maskrcnn.training.files import replacing
from keras_maskrcnn.training.monitors import is_loss

if TYPE_CHECKING:
    import keras

# Beside Keras' own entries of a `.keras` file, which is a zip file.
_ENTRY = "training.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingState:
    """Where a run stands after an epoch; weights, optimizer and samplers are the model's.

    Args:
        pictures: how many pictures it trains on.
        history: one dictionary of numbers per finished epoch; its `epoch` counts from 1.
        evaluation: the latest COCO metrics, which epochs without an evaluation repeat.
        stale: evaluations in a row that were not the best so far.
        seconds: time used, of a run that time ends.
        ended: whether the run ended before its last epoch.
    """

    pictures: int
    history: tuple[dict[str, float], ...] = ()
    evaluation: dict[str, float] | None = None
    stale: int = 0
    seconds: float = 0.0
    ended: bool = False

    @property
    def epochs_done(self) -> int:
        """How many epochs are finished: the next as Keras counts them, from 0."""
        return len(self.history)

    def is_over(self, epochs: int | None) -> bool:
        """Whether a run of so many epochs (`None`: that time ends) has no more to train."""
        return self.ended or (epochs is not None and self.epochs_done >= epochs)


def best_epoch(history: Sequence[dict[str, float]], name: str) -> int:
    """Where in the history, from 0, the best number of that name is; of equal ones the first.

    The best loss is the smallest, all else the largest. Nan (nothing to find in the data) is worse
    than any number; where there is nothing else, the last epoch is the best.

    Raises:
        ValueError: when an epoch has no number of that name.
    """
    best = math.nan
    chosen = 0
    for epoch, row in enumerate(history):
        if name not in row:
            raise ValueError(
                f"Expected one of the history's numbers {sorted(row)}. Received: name={name!r}"
            )
        value = -row[name] if is_loss(name) else row[name]
        if math.isnan(best) or value > best:
            best, chosen = value, epoch
    return chosen


def state_to_json(state: TrainingState) -> dict[str, Any]:
    """A state as JSON holds it."""
    return dataclasses.asdict(state)


def state_from_json(values: dict[str, Any]) -> TrainingState:
    """What `state_to_json` gave, as a state again."""
    return TrainingState(**{**values, "history": tuple(values["history"])})


def save_model(
    model: keras.Model, path: str | os.PathLike[str], state: TrainingState | None = None
) -> None:
    """Writes a whole `.keras` file, in one step, with the state of the run in it.

    Any Keras loads the file as a model.

    Args:
        model: with its optimizer.
        path: a `.keras` file.
        state: what else a run needs to go on from here.

    Raises:
        OSError: when the file cannot be written; an older one is kept.
    """
    with replacing(path) as partial:
        model.save(partial)
        if state is not None:
            with zipfile.ZipFile(partial, "a") as archive:
                archive.writestr(_ENTRY, json.dumps(state_to_json(state)))


def load_state(path: Path) -> TrainingState | None:
    """The state that `save_model` put into a file; `None` where there is no file.

    Raises:
        ValueError: when the file is damaged, or no state is in it.
    """
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            values = json.loads(archive.read(_ENTRY))
        return state_from_json(values)
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"Expected a model with the state of its run, from which that can go on. "
            f"Received: {path} ({error})"
        ) from error
