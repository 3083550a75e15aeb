"""Masks of RoIs.

Legend: `B` images, `P` RoIs with an object or detections, `N` objects, `M` mask side.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from keras import ops

from keras_maskrcnn.checks import at_least, one_of
from keras_maskrcnn.heads.base import HEADS, Field, HeadContext, MatchedRoIs, RoIHead
from keras_maskrcnn.layers.mask_head import MaskHead
from keras_maskrcnn.layers.mask_target_layer import MaskTargetLayer
from keras_maskrcnn.layers.norms import NORMS
from keras_maskrcnn.losses import Total, mask_loss

Tensor = Any

MASK_CROP_SIDE = 112


@HEADS.register("mask")
class Mask(RoIHead):
    """One sigmoid mask per class (Mask R-CNN, section 3); result `masks` `[P, M, M]` in 0..1.

    Ground truth `masks`: uint8, 255 inside; cropped to the objects' boxes, `[B, N, 112, 112]`, or
    of whole pictures, `[B, N, H, W]`.

    Args:
        name: see `RoIHead`.
        convs, dim: 3x3 convolutions and their channels.
        norm: of the convolutions, `None` or one of `layers.norms.NORMS`.
        pool_size: bins per side; the mask has twice as many (with C4 features as many).
        pooler: see `RoIHead`.
        target_style: `"soft"` (torchvision) or `"binary"` (detectron2: thresholded at .5).
    """

    loss_names = ("mask_loss",)

    def __init__(
        self,
        *,
        name: str = "mask",
        convs: int = 4,
        dim: int = 256,
        norm: str | None = None,
        pool_size: int = 14,
        pooler: Any = None,
        target_style: str = "soft",
    ) -> None:
        super().__init__(name=name, pool_size=pool_size, pooler=pooler)
        one_of("norm", norm, (None, *NORMS))
        one_of("target_style", target_style, ("soft", "binary"))
        at_least(0, convs=convs)
        at_least(1, dim=dim)
        self.convs, self.dim, self.norm = convs, dim, norm
        self.target_style = target_style

    def build(self, context: HeadContext) -> None:
        super().build(context)
        self.side = 2 * self.pool_size // context.roi_scale
        self.head = MaskHead(
            context.num_classes,
            self.convs,
            self.dim,
            self.norm,
            dtype=context.dtype,
            name=f"{self.name}_head",
        )

    def layout(self, inputs: Mapping[str, Tensor]) -> Hashable:
        """Whether masks are those of whole pictures.

        Raises:
            ValueError: when they are neither of the crops' side nor of the pictures' size.
        """
        side = tuple(inputs["masks"].shape[2:])
        picture = tuple(inputs["images"].shape[1:3])
        if side == (MASK_CROP_SIDE, MASK_CROP_SIDE):
            return False
        if None not in (*side, *picture) and side != picture:
            raise ValueError(
                f"masks must be [B, N, side, side]: crops of side {MASK_CROP_SIDE}, or as large as "
                f"the pictures {picture}. Received: masks of shape {tuple(inputs['masks'].shape)}"
            )
        return True

    def truth(self, layout: Hashable) -> dict[str, Field]:
        side = None if layout else MASK_CROP_SIDE
        return {"masks": ((None, side, side), "uint8"), "boxes": ((None, 4), "float32")}

    def check(self, truth: Mapping[str, np.ndarray], layout: Hashable, real: np.ndarray) -> None:
        super().check(truth, layout, real)
        masks = truth["masks"]
        largest = float(np.max(masks[real])) if real.any() else 0.0
        if 0 < largest <= 1:
            raise ValueError(
                "masks must be 0 outside and 255 inside an object: multiply them by 255. "
                f"Received: masks of dtype {masks.dtype} with a maximum of {largest:g}"
            )

    def forward(self, features: Tensor, classes: Tensor) -> Tensor:
        return self.head(features, classes)

    def targets(self, rois: MatchedRoIs, truth: Mapping[str, Tensor], layout: Hashable) -> Tensor:
        make = MaskTargetLayer(
            self.side,
            self.target_style == "binary",
            bool(layout),
            getattr(self.pooler, "aligned", True),
            name=f"{self.name}_targets",
        )
        return make(rois.boxes, rois.images, rois.objects, truth["masks"], truth["boxes"])

    def losses(self, predictions: Tensor, targets: Tensor, total: Total) -> dict[str, Tensor]:
        return {"mask_loss": mask_loss(predictions, targets, total)}

    def decode(self, predictions: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        return {"masks": ops.sigmoid(predictions)}
