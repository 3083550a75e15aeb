"""Moving averages of the weights, which an optimizer keeps: in the model where that is judged."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np


class WeightAverages(keras.callbacks.Callback):
    """Puts the averages that a model's optimizer keeps in place of the weights, and takes them out.

    As a callback it does so from the validation of an epoch until its end. It stands after what
    evaluates, and before what saves the weights themselves.

    Args:
        model: compiled.
        variables: those that its optimizer is built for.
    """

    def __init__(self, model: keras.Model, variables: Sequence[keras.Variable]) -> None:
        super().__init__()
        self.owner = model
        self.variables = list(variables)
        self._weights: list[np.ndarray] | None = None

    @contextlib.contextmanager
    def in_model(self) -> Iterator[None]:
        """Within it the model has the averages."""
        self.put()
        try:
            yield
        finally:
            self.take()

    def put(self) -> None:
        """Sets the averages; what the weights were is kept."""
        self._weights = [keras.ops.convert_to_numpy(variable) for variable in self.variables]
        self.owner.optimizer.finalize_variable_values(self.variables)

    def take(self) -> None:
        """Sets the weights again."""
        for variable, value in zip(self.variables, self._weights or (), strict=True):
            variable.assign(value)
        self._weights = None

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.put()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.take()
