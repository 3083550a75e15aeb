"""Any Keras model with a pyramid of outputs as a backbone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
from keras import ops

from keras_maskrcnn.backbones.base import BACKBONES, Backbone
from keras_maskrcnn.checks import one_of
from keras_maskrcnn.layers.geometry import GeometryLayer

Tensor = Any

# Large enough that no stride up to 128 loses its remainder.
_PROBE_SIDE = 256


@BACKBONES.register("functional")
class FunctionalBackbone(Backbone):
    """A Keras model from pictures to feature maps.

    Channels and strides are read from its outputs; maps of stride 4 to 32 are used, one for each
    stride: of several, the last. The model's weights are shared, not copied. Sides of a picture
    that no map's stride divides are padded with zeros below and right: networks round them up,
    down, or move their cells by half a stride there.

    Args:
        model: from `[B, H, W, C]` to a list, tuple or dict of maps, of any height and width; a
            model with `pyramid_outputs` (KerasHub's backbones) gives those.
        norm: `"frozen"`: batch normalisation keeps its statistics and does not train, as small
            batches want; `"batch"`: it trains like the rest.
        freeze_at: how many of stem, res2, res3, ... do not train, counted by stride: 2 freezes
            all up to the map of stride 4, 3 up to that of stride 8; 0 freezes nothing.
        preprocessing: see `Backbone`; `"none"` for a model that normalises pictures itself.
    """

    def __init__(
        self,
        *,
        model: keras.Model,
        norm: str = "frozen",
        freeze_at: int = 0,
        preprocessing: str = "none",
    ) -> None:
        super().__init__(preprocessing=preprocessing)
        one_of("norm", norm, ("frozen", "batch"))
        one_of("freeze_at", freeze_at, (0, 2, 3, 4, 5))
        self.model = model
        self.norm = norm
        self.freeze_at = freeze_at

    def build_maps(self, outputs: Sequence[str] | None, dtype: Any) -> keras.Model:
        return pyramid_model(self.model, outputs, self.norm, self.freeze_at)


def pyramid_model(
    model: keras.Model,
    outputs: Sequence[str] | None,
    norm: str,
    freeze_at: int,
    learning: Sequence[keras.layers.Layer] = (),
) -> keras.Model:
    """A model's maps by stride, with what shall not train frozen; see `FunctionalBackbone`.

    Args:
        model: see `FunctionalBackbone`.
        outputs: as in `Backbone.build_maps`.
        norm, freeze_at: see `FunctionalBackbone`.
        learning: layers that train in any case.
    """
    maps = _maps_by_stride(model)
    wanted = outputs or [name for name in ("C2", "C3", "C4", "C5") if name in maps]
    missing = [name for name in wanted if name not in maps]
    if missing or not wanted:
        raise ValueError(
            f"the backbone needs feature maps {', '.join(missing or ('C2..C5',))} (C2 for stride "
            f"4, C3 for 8 and so on). Received: model {model.name!r} with maps {sorted(maps)}"
        )
    network = keras.Model(model.inputs[0], {name: maps[name] for name in wanted}, name=model.name)
    if norm == "frozen":
        for layer in _inner_layers(network):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False
    frozen = [maps[name] for name in maps if int(name[1:]) <= freeze_at]
    if frozen:
        for layer in keras.Model(model.inputs[0], frozen).layers:
            layer.trainable = any(layer is one for one in learning)
    images = keras.Input((None, None, _channels(model)), name="images")
    strides = {name: 2 ** int(name[1:]) for name in wanted}
    found = network(PadToStride(max(strides.values()), name="pad_to_stride")(images))
    cropped = {
        name: CropToPicture(stride, name=f"crop_{name}")(found[name], images)
        for name, stride in strides.items()
    }
    return keras.Model(images, cropped, name=model.name)


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class PadToStride(GeometryLayer):
    """Zeros below and right of pictures, up to the next multiple of a stride; any dtype.

    Args:
        stride: in pixels.

    Call arguments:
        images: `[B, H, W, C]`.

    Returns:
        `[B, ceil(H / stride) * stride, ceil(W / stride) * stride, C]`.
    """

    def __init__(self, stride: int, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.stride = stride

    def call(self, images: Tensor) -> Tensor:
        batch, height, width, channels = ops.shape(images)
        below, right = -height % self.stride, -width % self.stride
        padded = ops.pad(images, [[0, 0], [0, below], [0, right], [0, 0]])
        # Padding by numbers that are not constant forgets the channels, which LiteRT must know.
        return ops.reshape(padded, (batch, height + below, width + right, channels))

    def compute_output_spec(self, images: Any) -> keras.KerasTensor:
        sides = (None if side is None else side + -side % self.stride for side in images.shape[1:3])
        return keras.KerasTensor((images.shape[0], *sides, images.shape[3]), images.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stride": self.stride}


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class CropToPicture(GeometryLayer):
    """The cells of a padded picture's map that see the picture; any dtype.

    Args:
        stride: of the map, in pixels.

    Call arguments:
        features: `[B, h, w, C]`.
        images: `[B, H, W, C]` before padding; only their size is read.

    Returns:
        `[B, ceil(H / stride), ceil(W / stride), C]`.
    """

    def __init__(self, stride: int, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.stride = stride

    def call(self, features: Tensor, images: Tensor) -> Tensor:
        _, height, width, _ = ops.shape(images)
        rows, columns = (-(-side // self.stride) for side in (height, width))
        return features[:, :rows, :columns]

    def compute_output_spec(self, features: Any, images: Any) -> keras.KerasTensor:
        sides = (None if side is None else -(-side // self.stride) for side in images.shape[1:3])
        return keras.KerasTensor((features.shape[0], *sides, features.shape[3]), features.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stride": self.stride}


def _inner_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """All layers within a model, those that its layers are made of too, once each."""
    found: dict[int, keras.layers.Layer] = {}
    waiting: list[Any] = [model]
    while waiting:
        layer = waiting.pop()
        held = [*getattr(layer, "layers", ()), *vars(layer).values()]
        for item in [inner for value in held for inner in _items(value)]:
            if isinstance(item, keras.layers.Layer) and id(item) not in found:
                found[id(item)] = item
                waiting.append(item)
    return list(found.values())


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else (value,)


def _maps_by_stride(model: keras.Model) -> dict[str, Any]:
    """The maps of strides 4 to 32 as `C2`..`C5`."""
    outputs = getattr(model, "pyramid_outputs", None) or model.output
    if isinstance(outputs, Mapping):
        outputs = list(outputs.values())
    maps = [outputs] if not isinstance(outputs, list | tuple) else list(outputs)
    if len(model.inputs) != 1 or any(len(x.shape) != 4 for x in maps):
        raise ValueError(
            "a backbone is a Functional model of one input [B, H, W, C] whose outputs are feature "
            f"maps [B, h, w, channels]. Received: model {model.name!r} with inputs "
            f"{[tuple(x.shape) for x in model.inputs]} and outputs {[tuple(x.shape) for x in maps]}"
        )
    probe = keras.Model(model.inputs[0], maps)
    shapes = probe.compute_output_shape((1, _PROBE_SIDE, _PROBE_SIDE, _channels(model)))
    found = {}
    for output, shape in zip(maps, shapes, strict=True):
        level = math.log2(_PROBE_SIDE / shape[1])
        if level in (2, 3, 4, 5):
            found[f"C{int(level)}"] = output
    return found


def _channels(model: keras.Model) -> int:
    """Of the pictures; RGB where any number will do."""
    return model.inputs[0].shape[-1] or 3
