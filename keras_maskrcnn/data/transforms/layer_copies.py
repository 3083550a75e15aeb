"""Keras layers for several threads, which draw from seeds that they are told."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras


class LayerCopies:
    """Layers made alike, for threads that need one at a time.

    A layer draws from a state of its own, so each thread needs one to itself. They are not kept by
    thread: those of `tf.data` are new to Python in each call.

    Args:
        layer: which they are made like. Each computes in float32 whatever its policy is: bfloat16
            does not hold 0..255.
    """

    def __init__(self, layer: keras.Layer) -> None:
        import keras

        self._class = type(layer)
        self.config = keras.saving.serialize_keras_object(layer)
        if "dtype" in self.config["config"]:
            self.config["config"]["dtype"] = "float32"
        self._free: collections.deque[keras.Layer] = collections.deque()

    @property
    def name(self) -> str:
        """Of the class."""
        return self._class.__name__

    def __reduce__(self) -> tuple[Any, ...]:
        return _copies_of, (self._class, self.config)

    def __call__(self, image: np.ndarray, seed: int) -> np.ndarray:
        """What a layer makes of a picture, both float32 `[H, W, C]`, with that seed."""
        import keras

        with keras.device("cpu:0"):
            try:
                layer = self._free.pop()
            except IndexError:
                layer = _made(self._class, self.config)
            weights = {id(weight) for weight in layer.weights}
            states = [v for v in layer.variables if id(v) not in weights]
            for state, value in zip(
                states, np.random.SeedSequence(seed).generate_state(len(states)), strict=True
            ):
                # Half of the values, which all types of states hold.
                state.assign([int(value) >> 1, 0])
            changed = keras.ops.convert_to_numpy(layer(image[None], training=True))
        self._free.append(layer)
        return changed[0]


def _made(cls: type, config: dict[str, Any]) -> keras.Layer:
    """A layer of what Keras serialised, though its class may not be registered."""
    import keras

    # Layers within it take the global policy, which Keras keeps for each thread.
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        return keras.saving.deserialize_keras_object(config, custom_objects={cls.__name__: cls})
    finally:
        keras.config.set_dtype_policy(policy)


def _copies_of(cls: type, config: dict[str, Any]) -> LayerCopies:
    return LayerCopies(_made(cls, config))
