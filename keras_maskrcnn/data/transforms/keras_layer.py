"""Stock Keras layers that change pixels, as transforms."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_maskrcnn.checks import nearest
from keras_maskrcnn.data.transforms.base import TRANSFORMS, Sample, Sometimes
from keras_maskrcnn.data.transforms.layer_copies import LayerCopies
from keras_maskrcnn.data.transforms.pixels import PixelAction, check_value_range, rounded

if TYPE_CHECKING:
    import keras

# Keras' layers that leave what they see where it is, and follow from their seed generators alone.
_PIXEL_LAYERS = (
    "AutoContrast",
    "ContrastLimitedAdaptiveHistogramEqualization",
    "Equalization",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomErasing",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPosterization",
    "RandomSaturation",
    "RandomSharpness",
    "Solarization",
)


@dataclasses.dataclass(frozen=True)
class KerasLayerAction(PixelAction):
    """Calls a layer with a seed.

    Args:
        layers: which it is called of.
        seed: which all that it draws follows from.
        value_range: the highest value of a pixel.
    """

    layers: LayerCopies
    seed: int
    value_range: float = 255

    def change(self, image: np.ndarray) -> np.ndarray:
        values = self.layers(image.astype(np.float32), self.seed)
        if values.shape != image.shape:
            raise ValueError(
                f"the Keras layer {self.layers.name} must give a picture of the shape that it got, "
                f"{image.shape}. Received: shape {values.shape}"
            )
        values = np.clip(values, 0, self.value_range)
        return rounded(values, image.dtype)

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "layers": self.layers.config}


@TRANSFORMS.register("keras_layer")
class KerasLayerTransform(Sometimes):
    """Changes pictures by a Keras layer, such as `keras.layers.RandomBrightness(0.2)`.

    `augment=[keras.layers.RandomBrightness(0.2), "flip"]` makes one of each layer. What a layer
    draws follows from the seed of the batches; its own `seed` has no say. It is called on the CPU
    in training mode, with one picture as float32 `[1, H, W, C]`. What it gives is clipped to 0 and
    `value_range`, and in pictures of integers rounded to the nearest, halves to the even one.

    Of Keras' own layers those that change pixels alone: brightness, contrast, colours, grey, hue,
    saturation, inversion, posterisation, sharpness, blur, erasing, equalisation, solarisation. The
    others would move the picture and leave outlines behind, or need more than one picture. A layer
    of one's own must leave each pixel in its place, draw from `keras.random.SeedGenerator`s that
    its constructor makes, have no weights, and be registered with Keras where it is to be saved.

    Hue and saturation of these take several times as long as those of `"color"`.

    Args:
        layer: the layer. A copy of it is called, made of its `get_config`.
        probability: with which it is called, in 0..1; it may itself do nothing to some pictures.
        value_range: the highest value of a pixel.

    Raises:
        TypeError: if `layer` is none, or one that does something else.
        ValueError: if the layer counts on another range of values than 0 to `value_range`, or on
            channels first, or gives a picture of another shape.
    """

    def __init__(
        self, *, layer: keras.Layer, probability: float = 1.0, value_range: float = 255
    ) -> None:
        _check_kind(layer)
        super().__init__(probability=probability)
        check_value_range(value_range)
        name = type(layer).__name__
        expected: tuple[float, ...] = tuple(getattr(layer, "value_range", (0, value_range)))
        if expected != (0, value_range):
            raise ValueError(
                f"{name} must have value_range=(0, {value_range}), which pictures have. "
                f"Received: value_range={expected}"
            )
        if getattr(layer, "data_format", "channels_last") != "channels_last":
            raise ValueError(
                f"{name} must have data_format='channels_last', as pictures are. "
                f"Received: data_format={layer.data_format!r}"
            )
        self.layers = LayerCopies(layer)
        self.value_range = value_range

    def draw_always(self, rng: np.random.Generator, sample: Sample) -> KerasLayerAction | None:
        return KerasLayerAction(self.layers, int(rng.integers(2**32)), self.value_range)


def _check_kind(layer: Any) -> None:
    """`TypeError` unless the layer leaves pixels in their place, as far as can be told."""
    import keras

    if not isinstance(layer, keras.Layer):
        raise TypeError(
            "layer must be a Keras layer, such as keras.layers.RandomBrightness(0.2). "
            f"Received: layer={layer!r}"
        )
    if isinstance(layer, keras.Model):
        raise TypeError(
            "augment must have the layers of a model one by one, as augment=[layer, layer]. "
            f"Received: {layer!r}"
        )
    for cls in type(layer).__mro__:
        name = cls.__name__
        if name in _PIXEL_LAYERS or cls is keras.Layer:
            return
        if getattr(keras.layers, name, None) is cls:
            like = name.removeprefix("Random").removeprefix("Center").lower()
            raise TypeError(
                "augment must be True, a name, a dict of settings, a Transform, a function, or a "
                f"Keras layer that changes pixels alone, which {name} does not.{_instead(like)} "
                f"Such layers are {', '.join(_PIXEL_LAYERS)}. Received: {layer!r}"
            )


def _instead(like: str) -> str:
    names = TRANSFORMS.names
    return (
        f" What moves outlines with the picture is a transform of ours, of {names}."
        f"{nearest(like, names)}"
    )
