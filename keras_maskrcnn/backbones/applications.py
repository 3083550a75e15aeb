"""The networks of `keras.applications` as backbones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_maskrcnn.backbones.base import BACKBONES, Backbone
from keras_maskrcnn.backbones.functional import pyramid_model
from keras_maskrcnn.checks import one_of

# Constructor, how it wants pixels, and arguments without which it would not be a backbone. The
# newer families normalise pictures in their first layers.
_NETWORKS: dict[str, tuple[Callable[..., keras.Model], str, dict[str, Any]]] = {
    **{
        name: (getattr(keras.applications, name), "caffe", {})
        for name in ("ResNet50", "ResNet101", "ResNet152")
    },
    **{
        name: (getattr(keras.applications, name), "tf", {})
        for name in ("ResNet50V2", "ResNet101V2", "ResNet152V2", "MobileNetV2")
    },
    **{
        name: (getattr(keras.applications, name), "none", {"include_preprocessing": True})
        for name in (
            *("MobileNetV3Small", "MobileNetV3Large"),
            *("EfficientNetV2B0", "EfficientNetV2B1", "EfficientNetV2B2", "EfficientNetV2B3"),
            *("EfficientNetV2S", "EfficientNetV2M", "EfficientNetV2L"),
            *("ConvNeXtTiny", "ConvNeXtSmall", "ConvNeXtBase", "ConvNeXtLarge"),
        )
    },
}


@BACKBONES.register(*_NETWORKS)
class Application(Backbone):
    """A network of `keras.applications`: the last map of each stride is a level.

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
        one_of("backbone", name, tuple(_NETWORKS))
        super().__init__(preprocessing=preprocessing or _NETWORKS[name][1])
        one_of("norm", norm, ("frozen", "batch"))
        one_of("freeze_at", freeze_at, (0, 2, 3, 4, 5))
        self.name = name
        self.weights = weights
        self.norm = norm
        self.freeze_at = freeze_at

    def build_maps(self, outputs: Sequence[str] | None, dtype: Any) -> keras.Model:
        make, _, options = _NETWORKS[self.name]
        network = make(
            include_top=False, weights=self.weights, input_shape=(None, None, 3), **options
        )
        if keras.dtype_policies.get(dtype) != keras.config.dtype_policy():
            network = _with_policy(network, dtype)
        # All inner maps: `pyramid_model` keeps the last of each stride.
        maps = [layer.output for layer in network.layers if _is_map(layer)]
        whole = keras.Model(network.inputs[0], maps, name=self.name)
        return pyramid_model(whole, outputs, self.norm, self.freeze_at)

    def get_config(self) -> dict[str, Any]:
        # Weights travel in the saved model; whoever loads it needs no second download.
        return {**super().get_config(), "weights": None}


def _is_map(layer: keras.layers.Layer) -> bool:
    output = layer.output
    return not isinstance(output, list | tuple | dict) and len(output.shape) == 4


def _with_policy(network: keras.Model, dtype: Any) -> keras.Model:
    """The same network and weights under another dtype policy: its constructor takes none."""

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        return type(layer).from_config({**layer.get_config(), "dtype": dtype})

    again = keras.models.clone_model(network, clone_function=clone)
    again.set_weights(network.get_weights())
    return again
