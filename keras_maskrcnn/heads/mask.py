"""Masks of RoIs by convolutions.

Legend: `M` mask side, `p` side of the pooled grid.
"""

from __future__ import annotations

from typing import Any

from keras_maskrcnn.checks import at_least, one_of
from keras_maskrcnn.heads.base import HEADS, HeadContext
from keras_maskrcnn.heads.masks import MaskRoIHead, Tensor
from keras_maskrcnn.layers.mask_head import UPSAMPLINGS, MaskHead
from keras_maskrcnn.layers.norms import NORMS


@HEADS.register("mask")
class Mask(MaskRoIHead):
    """A small fully convolutional network (Mask R-CNN, section 3); `M` is `2p`.

    Args:
        name, pooler: see `RoIHead`.
        convs, dim: 3x3 convolutions and their channels.
        norm: of the convolutions, `None` or one of `layers.norms.NORMS`.
        pool_size: bins per side; the mask has twice as many (with C4 features as many).
        upsampling: what doubles the side, `"deconv"` or `"bilinear"`.
        output, target_style: see `MaskRoIHead`.
    """

    def __init__(
        self,
        *,
        name: str = "mask",
        convs: int = 4,
        dim: int = 256,
        norm: str | None = None,
        pool_size: int = 14,
        pooler: Any = None,
        upsampling: str = "deconv",
        output: str = "sigmoid",
        target_style: str = "soft",
    ) -> None:
        super().__init__(
            name=name, pool_size=pool_size, pooler=pooler, output=output, target_style=target_style
        )
        one_of("norm", norm, (None, *NORMS))
        one_of("upsampling", upsampling, UPSAMPLINGS)
        at_least(0, convs=convs)
        at_least(1, dim=dim)
        self.convs, self.dim, self.norm = convs, dim, norm
        self.upsampling = upsampling

    def build(self, context: HeadContext) -> None:
        super().build(context)
        self.side = 2 * self.pool_size // context.roi_scale
        self.head = MaskHead(
            context.num_classes,
            self.convs,
            self.dim,
            self.norm,
            self.upsampling,
            self.output,
            dtype=context.dtype,
            name=f"{self.name}_head",
        )

    def forward(self, features: Tensor, classes: Tensor) -> Tensor:
        return self.head(features, classes)
