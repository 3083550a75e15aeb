"""What of a model does not train at first, such as the backbone under fresh heads."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import keras

from keras_maskrcnn.checks import one_of
from keras_maskrcnn.names import FREEZES

logger = logging.getLogger("keras_maskrcnn")


class Freeze(keras.callbacks.Callback):
    """Keeps a part of a model from training, for some epochs or altogether.

    Batch norms in it keep their statistics. When its time is over, the next step is traced anew;
    the optimizer stays, with all that it knows.

    Args:
        model: a `MaskRCNN`.
        what: `"backbone"`; or `"all_but_heads"`: neck and RPN, too.
        epochs: until all trains that trained before; `None`: never.

    Raises:
        ValueError: for another `what`.
    """

    def __init__(self, model: keras.Model, what: str, epochs: int | None = None) -> None:
        super().__init__()
        one_of("freeze", what, FREEZES)
        network = model.network
        self.owner = model
        self.what = what
        self.epochs = epochs
        self.layers: list[keras.layers.Layer] = list(network.neck.stages)
        if what == "all_but_heads":
            self.layers += [*_layers_of(network.neck), *_layers_of(network.rpn)]
        self._flags: list[tuple[keras.layers.Layer, bool]] = []

    def begin(self, epoch: int) -> list[keras.Variable]:
        """Freezes, unless that is over by this epoch, counted from 0.

        Comes between the model's `compile` and `fit`.

        Returns:
            The variables to build the optimizer for: all that will train at some time.
        """
        before = list(self.owner.trainable_variables)
        if self.epochs is not None and epoch >= self.epochs:
            return before
        seen: set[int] = set()
        self._flags = [(x, x.trainable) for layer in self.layers for x in _within(layer, seen)]
        for layer in self.layers:
            layer.trainable = False
        left = list(self.owner.trainable_variables)
        until = "" if self.epochs is None else f" until epoch {self.epochs}"
        logger.info(
            "freeze %s: %d of %d variables train%s", self.what, len(left), len(before), until
        )
        return left if self.epochs is None else before

    def end(self) -> None:
        """All trains that trained before."""
        # What holds a layer comes before it, and sets its flag too.
        for layer, flag in self._flags:
            layer.trainable = flag
        self._flags = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._flags and self.epochs is not None and epoch >= self.epochs:
            self.end()
            self.owner.make_train_function(force=True)
            # Its penalty is of what trains, too, as in a run that goes on from here.
            self.owner.make_test_function(force=True)
            logger.info("epoch %d: all trains from here on", epoch + 1)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        # After the last epoch Keras wants all variables that the optimizer was built for.
        is_last = self.model.stop_training or epoch + 1 == self.params["epochs"]
        if self.epochs is not None and is_last:
            self.end()


def _layers_of(part: Any) -> list[keras.layers.Layer]:
    """The layers that a part of a model has made."""
    return [value for value in vars(part).values() if isinstance(value, keras.layers.Layer)]


def _within(layer: keras.layers.Layer, seen: set[int]) -> Iterator[keras.layers.Layer]:
    """A layer and all that it holds, each once."""
    if id(layer) in seen:
        return
    seen.add(id(layer))
    yield layer
    held = layer.layers if isinstance(layer, keras.Model) else vars(layer).values()
    for value in held:
        for item in value if isinstance(value, list | tuple) else (value,):
            if isinstance(item, keras.layers.Layer):
                yield from _within(item, seen)
