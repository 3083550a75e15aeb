"""Masks of RoIs by fully connected layers."""

from __future__ import annotations

from typing import Any

from keras_maskrcnn.checks import at_least
from keras_maskrcnn.heads.base import HEADS, HeadContext
from keras_maskrcnn.heads.masks import MaskRoIHead, Tensor
from keras_maskrcnn.layers.mask_mlp_head import MaskMLPHead


@HEADS.register("mask_mlp")
class MLPMask(MaskRoIHead):
    """The multilayer perceptron of Mask R-CNN's table 2e, where convolutions beat it.

    Args:
        name, pool_size, pooler: see `RoIHead`.
        fcs, dim: fully connected layers before the last, and their units.
        side: `M`.
        output, target_style: see `MaskRoIHead`.
    """

    def __init__(
        self,
        *,
        name: str = "mask_mlp",
        fcs: int = 2,
        dim: int = 1024,
        side: int = 28,
        pool_size: int = 14,
        pooler: Any = None,
        output: str = "sigmoid",
        target_style: str = "soft",
    ) -> None:
        super().__init__(
            name=name, pool_size=pool_size, pooler=pooler, output=output, target_style=target_style
        )
        at_least(0, fcs=fcs)
        at_least(1, dim=dim, side=side)
        self.fcs, self.dim, self.side = fcs, dim, side

    def build(self, context: HeadContext) -> None:
        super().build(context)
        self.head = MaskMLPHead(
            context.num_classes,
            self.fcs,
            self.dim,
            self.side,
            self.output,
            dtype=context.dtype,
            name=f"{self.name}_head",
        )

    def forward(self, features: Tensor, classes: Tensor) -> Tensor:
        return self.head(features, classes)
