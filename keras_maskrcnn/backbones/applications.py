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
        name: (getattr(keras.applications, name), "vgg", {})
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
# A V2 stage strides inside its last block: the last map of a stride is a narrow one of that block,
# with a quarter of the stage's channels. What the block reads is the stage's result.
_STAGE_RESULTS = {
    name: ("_preact_relu", "post_relu") for name in ("ResNet50V2", "ResNet101V2", "ResNet152V2")
}


@BACKBONES.register(*_NETWORKS)
class Application(Backbone):
    """A network of `keras.applications`: the last map of each stride is a level.

    Of a ResNet V2 it is the last normalised sum of each stage.

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
        # All inner maps: `pyramid_model` keeps the last of each stride. Of operations, since the
        # sum at the end of a block may be no layer (ConvNeXt).
        ends = _STAGE_RESULTS.get(self.name, ("",))
        maps = [
            operation.output
            for operation in network.operations
            if _is_map(operation) and operation.name.endswith(ends)
        ]
        whole = keras.Model(network.inputs[0], maps, name=self.name)
        return pyramid_model(whole, outputs, self.norm, self.freeze_at)

    def get_config(self) -> dict[str, Any]:
        # Weights travel in the saved model; whoever loads it needs no second download.
        return {**super().get_config(), "weights": None}


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
