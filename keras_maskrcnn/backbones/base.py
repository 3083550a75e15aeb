"""What a backbone owes: feature maps by stride, and how its weights want pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_maskrcnn.checks import one_of
from keras_maskrcnn.layers.preprocessing import PREPROCESSING
from keras_maskrcnn.parts import Part, Registry

BACKBONES = Registry("backbone")


class Backbone(Part):
    """Base of the backbones: normalised pictures to feature maps.

    A subclass gives `build_maps`. Channels and strides are read from what that returns.

    Args:
        preprocessing: how pixels are normalised, see `layers.preprocessing.ImageNormalization`.

    Attributes:
        input_channels: `C` of the pictures, which the model sets before it calls `build_maps`.
        is_normalized_outside: whether the model normalises pixels by statistics of the data, so
            that the network must not do so again; set before `build_maps` is called, too.
    """

    input_channels: int = 3
    is_normalized_outside: bool = False

    def __init__(self, *, preprocessing: str = "torch") -> None:
        one_of("preprocessing", preprocessing, PREPROCESSING)
        self.preprocessing = preprocessing

    @property
    def seen_preprocessing(self) -> str:
        """How the network that `build_maps` will build wants pixels."""
        return self.preprocessing

    def build_maps(self, outputs: Sequence[str] | None, dtype: Any) -> keras.Model:
        """The network up to its feature maps.

        Args:
            outputs: which maps are wanted, such as `("C4",)`, the map of stride 16; `None` for all.
            dtype: dtype policy of its layers.

        Returns:
            a model from `[B, H, W, input_channels]` to a dict of maps
            `[B, H / stride, W / stride, channels]`, `C2` for stride 4, `C3` for 8 and so on.
        """
        raise NotImplementedError("a backbone defines build_maps")

    def build_last_stage(self, dtype: Any) -> keras.Model:
        """The last stage alone, for C4 models: features of RoIs at stride 16 to those at 32.

        Raises:
            ValueError: where the network cannot be taken apart there.
        """
        raise ValueError(
            f"neck='c4' needs a backbone whose last stage can stand alone: a ResNet, ResNeXt or "
            f"RegNet. Received: {self!r}"
        )

    def build_dilated(self, dtype: Any) -> keras.Model:
        """The whole network with its last stage at stride 16, for DC5 models.

        Returns:
            a model from `[B, H, W, input_channels]` to a dict of one map,
            `[B, H / 16, W / 16, channels]`.

        Raises:
            ValueError: where the last stage cannot be dilated.
        """
        raise ValueError(
            "neck='dc5' needs a backbone whose last stage can be dilated: a ResNet. "
            f"Received: {self!r}"
        )


def check_input_channels(maps: keras.Model, channels: int) -> None:
    """`ValueError` unless a backbone's model takes pictures of so many channels."""
    found = maps.inputs[0].shape[-1]
    if found != channels:
        raise ValueError(
            f"the backbone must take pictures of {channels} channels, as the model's channels="
            f"{channels} says: a Keras model with such an input, or a Backbone whose build_maps "
            f"reads input_channels. Received: {maps.name!r} for {found} channels"
        )


def map_channels(maps: keras.Model) -> dict[str, int]:
    """Channels of a backbone's feature maps by name, finest first."""
    return {name: maps.output[name].shape[-1] for name in sorted(maps.output)}
