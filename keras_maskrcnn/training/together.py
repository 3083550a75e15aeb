"""Callbacks of a run of several workers: what the first does alone, and what it tells all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_maskrcnn.training.averages import WeightAverages
from keras_maskrcnn.training.checkpoints import RunCheckpoint
from keras_maskrcnn.training.state import TrainingState, state_from_json, state_to_json
from keras_maskrcnn.training.workers import Workers


class ChiefValidation(keras.callbacks.Callback):
    """Computes losses and COCO's numbers after an epoch, on a copy of the model.

    The trained model's own `evaluate` and `predict` are steps of all workers. A copy that is made
    outside of the strategy's scope is this worker's alone, and tells what one process would.

    Args:
        model: as it trains.
        batches: of the validation pictures.
        callbacks: what looks at the model after an epoch, such as a `CocoEvaluation`.
        averages: of the weights, which are judged in their place.
    """

    def __init__(
        self,
        model: keras.Model,
        batches: Any,
        callbacks: Sequence[keras.callbacks.Callback],
        averages: WeightAverages | None = None,
    ) -> None:
        super().__init__()
        self.trained = model
        self.copy = type(model).from_config(model.get_config())
        self.copy.compile()
        self.batches = batches
        self.callbacks = list(callbacks)
        self.averages = averages

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        for callback in self.callbacks:
            callback.set_model(self.copy)
            callback.set_params(self.params)
            callback.on_train_begin()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.averages is None:
            self._follow()
        else:
            with self.averages.in_model():
                self._follow()
        numbers = self.copy.evaluate(self.batches, verbose=0, return_dict=True)
        logs = {} if logs is None else logs
        logs.update({f"val_{name}": value for name, value in numbers.items()})
        self.copy.stop_training = self.trained.stop_training
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, logs)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        for callback in self.callbacks:
            callback.on_train_end(logs)

    def _follow(self) -> None:
        is_other = False
        for variable, own in zip(self.trained.variables, self.copy.variables, strict=True):
            own.assign(keras.ops.convert_to_numpy(variable))
            is_other |= own.trainable != variable.trainable
            own.trainable = variable.trainable
        if is_other:  # The penalty is of what trains.
            self.copy.make_test_function(force=True)


class Agreement(keras.callbacks.Callback):
    """Tells all workers how the chief's run stands after an epoch, and ends it on all at once.

    The others wait here while the chief evaluates and saves.

    Args:
        workers: of the run.
        state: where the run begins.
        checkpoint: of the chief; it comes before among the callbacks.
    """

    def __init__(
        self, workers: Workers, state: TrainingState, checkpoint: RunCheckpoint | None
    ) -> None:
        super().__init__()
        self.workers = workers
        self.state = state
        self.checkpoint = checkpoint

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        state = self.state if self.checkpoint is None else self.checkpoint.state
        self.state = state_from_json(self.workers.from_chief(state_to_json(state)))
        self.model.stop_training = self.state.ended
