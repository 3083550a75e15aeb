"""The networks of `keras.applications` as backbones."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import keras

from keras_maskrcnn.backbones.base import BACKBONES, Backbone
from keras_maskrcnn.backbones.functional import pyramid_model
from keras_maskrcnn.checks import one_of
from keras_maskrcnn.weights.stems import fit_stem, is_stem_of, told

logger = logging.getLogger("keras_maskrcnn")

# How each wants pixels.
_WANTED = {
    "vgg": ("ResNet50", "ResNet101", "ResNet152"),
    "tf": ("ResNet50V2", "ResNet101V2", "ResNet152V2", "MobileNetV2"),
}
# Likewise of the newer families, which normalise RGB in their first layers. (EfficientNetV2S, M and
# L divide by 128.)
_WANTED_WITHIN = {
    "tf": (
        *("MobileNetV3Small", "MobileNetV3Large"),
        *("EfficientNetV2S", "EfficientNetV2M", "EfficientNetV2L"),
    ),
    "torch": (
        *("EfficientNetV2B0", "EfficientNetV2B1", "EfficientNetV2B2", "EfficientNetV2B3"),
        *("ConvNeXtTiny", "ConvNeXtSmall", "ConvNeXtBase", "ConvNeXtLarge"),
    ),
}
_OUTSIDE = {name: kind for kind, names in _WANTED.items() for name in names}
_WITHIN = {name: kind for kind, names in _WANTED_WITHIN.items() for name in names}
_NAMES = (*_OUTSIDE, *_WITHIN)
# A V2 stage strides inside its last block: the last map of a stride is a narrow one of that block,
# with a quarter of the stage's channels. What the block reads is the stage's result.
_STAGE_RESULTS = {
    name: ("_preact_relu", "post_relu") for name in ("ResNet50V2", "ResNet101V2", "ResNet152V2")
}


@BACKBONES.register(*_NAMES)
class Application(Backbone):
    """A network of `keras.applications`: the last map of each stride is a level.

    Of a ResNet V2 it is the last normalised sum of each stage. For pictures of other channels than
    three, the first layer's weights are fitted by `weights.stems.fit_stem`, which is told in the
    log; for more than three it trains, whatever `freeze_at` is.

    Args:
        name: which.
        weights: `"imagenet"` (downloaded by Keras), a path, or `None` for random ones.
        norm, freeze_at: see `FunctionalBackbone`.
        preprocessing: see `Backbone`; `None` for what the network's own weights want.
    """

    def __init__(
        self,
        *,
        name: str,
        weights: str | None = None,
        norm: str = "frozen",
        freeze_at: int = 0,
        preprocessing: str | None = None,
    ) -> None:
        one_of("backbone", name, _NAMES)
        super().__init__(preprocessing=preprocessing or _OUTSIDE.get(name, "none"))
        one_of("norm", norm, ("frozen", "batch"))
        one_of("freeze_at", freeze_at, (0, 2, 3, 4, 5))
        self.name = name
        self.weights = weights
        self.norm = norm
        self.freeze_at = freeze_at

    @property
    def seen_preprocessing(self) -> str:
        if self.is_normalized_outside and self.preprocessing == "none":
            return _WITHIN.get(self.name, "none")
        return self.preprocessing

    def build_maps(self, outputs: Sequence[str] | None, dtype: Any) -> keras.Model:
        network = self._network()
        if keras.dtype_policies.get(dtype) != keras.config.dtype_policy():
            network = _with_policy(network, dtype)
        # All inner maps: `pyramid_model` keeps the last of each stride. Of operations, since the
        # sum at the end of a block may be no layer (ConvNeXt).
        ends = _STAGE_RESULTS.get(self.name, ("",))
        maps = [
            operation.output
            for operation in network.operations
            if _is_map(operation) and operation.name.endswith(ends)
        ]
        whole = keras.Model(network.inputs[0], maps, name=self.name)
        learning = [_stem(network)] if self.input_channels > 3 else []
        return pyramid_model(whole, outputs, self.norm, self.freeze_at, learning)

    def _network(self) -> keras.Model:
        """Whole, with its weights."""
        make = getattr(keras.applications, self.name)
        options: dict[str, Any] = {"include_top": False}
        if self.name in _WITHIN:
            options["include_preprocessing"] = not self.is_normalized_outside
        channels = self.input_channels
        if channels == 3 or self.weights is None:
            return make(weights=self.weights, input_shape=(None, None, channels), **options)
        trained = make(weights=self.weights, input_shape=(None, None, 3), **options)
        network = make(weights=None, input_shape=(None, None, channels), **options)
        for variable, value in zip(network.weights, trained.get_weights(), strict=True):
            if is_stem_of(value, tuple(variable.shape)):
                value = fit_stem(value, channels)
                trains = channels > 3 or not self.freeze_at
                logger.warning("%s: %s", self.name, told(variable.path, channels, trains))
            variable.assign(value)
        return network

    def get_config(self) -> dict[str, Any]:
        # Weights travel in the saved model; whoever loads it needs no second download.
        return {**super().get_config(), "weights": None}


def _stem(network: keras.Model) -> keras.layers.Layer:
    """The first layer with weights."""
    return next(layer for layer in network.layers if layer.weights)


def _is_map(operation: keras.Operation) -> bool:
    output = operation.output
    return not isinstance(output, list | tuple | dict) and len(output.shape) == 4


def _with_policy(network: keras.Model, dtype: Any) -> keras.Model:
    """The same network and weights under another dtype policy: its constructor takes none."""

    def clone(layer: keras.Operation) -> keras.Operation:
        # What `x + y` leaves in a graph is no layer and computes in what it is given.
        policy = {"dtype": dtype} if isinstance(layer, keras.layers.Layer) else {}
        return type(layer).from_config({**layer.get_config(), **policy})

    # The stages of ConvNeXt hold models of their own, whose layers have policies too.
    again = keras.models.clone_model(network, clone_function=clone, recursive=True)
    again.set_weights(network.get_weights())
    return again
