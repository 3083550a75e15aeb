"""What a neck owes: the maps that the RPN and the heads read, and features of RoIs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras

from keras_maskrcnn.backbones.base import Backbone
from keras_maskrcnn.parts import Part, Registry

Tensor = Any

NECKS = Registry("neck")


class Neck(Part):
    """Base of the necks. Once built, it has the attributes `backbone` and the two strides.

    Attributes:
        backbone: the model from normalised pictures to feature maps.
        channels: of the maps.
        rpn_strides: of the maps that the RPN reads, finest first.
        roi_strides: of those that the heads read, the first of `rpn_strides`.
        roi_scale: how many times smaller the sides of `roi_features` are than the pooled grid.
        part_defaults: settings that other parts take with this neck where nothing else is said, by
            the part's name (`rpn`, `box`, `mask`).
    """

    part_defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    roi_scale: int = 1
    backbone: keras.Model
    channels: int
    rpn_strides: tuple[int, ...]
    roi_strides: tuple[int, ...]

    def build(self, backbone: Backbone, dtype: Any) -> None:
        """Makes the layers, the backbone's too; `dtype` is their policy."""
        raise NotImplementedError("a neck defines build")

    def maps(self, images: Tensor) -> list[Tensor]:
        """Feature maps of normalised pictures `[B, H, W, C]`, finest first."""
        raise NotImplementedError("a neck defines maps")

    def roi_features(self, pooled: Tensor) -> Tensor:
        """What the heads see of pooled RoIs `[P, p, p, C]` or `[B, R, p, p, C]`."""
        return pooled

    @property
    def stages(self) -> list[keras.Model]:
        """The models that hold the backbone's weights."""
        return [self.backbone]

    @property
    def shares_roi_features(self) -> bool:
        """Whether `roi_features` is costly, so that heads should not repeat it for a RoI."""
        return False
