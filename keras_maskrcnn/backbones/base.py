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
    """

    def __init__(self, *, preprocessing: str = "torch") -> None:
        one_of("preprocessing", preprocessing, PREPROCESSING)
        self.preprocessing = preprocessing

    def build_maps(self, outputs: Sequence[str] | None, dtype: Any) -> keras.Model:
        """The network up to its feature maps.

        Args:
            outputs: which maps are wanted, such as `("C4",)`, the map of stride 16; `None` for all.
            dtype: dtype policy of its layers.

        Returns:
            a model from `[B, H, W, 3]` to a dict of maps `[B, H / stride, W / stride, channels]`,
            `C2` for stride 4, `C3` for 8 and so on.
        """
        raise NotImplementedError("a backbone defines build_maps")

    def build_last_stage(self, dtype: Any) -> keras.Model:
        """The last stage alone, for C4 models: features of RoIs at stride 16 to those at 32.

        Raises:
            ValueError: where the network cannot be taken apart there.
        """
        raise ValueError(
            f"neck='c4' needs a backbone whose last stage can stand alone: a ResNet or ResNeXt. "
            f"Received: {self!r}"
        )


def map_channels(maps: keras.Model) -> dict[str, int]:
    """Channels of a backbone's feature maps by name, finest first."""
    return {name: maps.output[name].shape[-1] for name in sorted(maps.output)}
