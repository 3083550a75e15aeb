"""What the heads for masks have in common.

Legend: `B` images, `P` RoIs with an object or detections, `N` objects, `M` mask side.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_maskrcnn.checks import one_of
from keras_maskrcnn.heads.base import Field, MatchedRoIs, RoIHead
from keras_maskrcnn.layers.mask_outputs import OUTPUTS
from keras_maskrcnn.layers.mask_target_layer import MaskTargetLayer
from keras_maskrcnn.losses import Total, mask_loss, softmax_mask_loss

Tensor = Any

MASK_CROP_SIDE = 112


class MaskRoIHead(RoIHead):
    """Base of the heads that say a mask for each box; result `masks` `[P, M, M]` in 0..1.

    Ground truth `masks`: uint8, 255 inside; cropped to the objects' boxes, `[B, N, 112, 112]`, or
    of whole pictures, `[B, N, H, W]`.

    A subclass makes the layer `head` in `build`, from features and classes to the logits of
    `layers.mask_outputs`, and sets `side`, which is `M`.

    Args:
        name, pool_size, pooler: see `RoIHead`.
        output: how the masks of the classes relate: `"sigmoid"` (a mask per class, which do not
            compete), `"softmax"` (all classes and the background compete at each pixel), or
            `"class_agnostic"` (one mask for all).
        target_style: `"soft"` (torchvision) or `"binary"` (detectron2: thresholded at .5).
    """

    loss_names = ("mask_loss",)
    head: keras.layers.Layer
    side: int

    def __init__(
        self, *, name: str, pool_size: int, pooler: Any, output: str, target_style: str
    ) -> None:
        super().__init__(name=name, pool_size=pool_size, pooler=pooler)
        one_of("output", output, OUTPUTS)
        one_of("target_style", target_style, ("soft", "binary"))
        self.output = output
        self.target_style = target_style

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

    def losses(
        self, predictions: Tensor, targets: Tensor, total: Total, real: Tensor | None = None
    ) -> dict[str, Tensor]:
        loss = softmax_mask_loss if self.output == "softmax" else mask_loss
        return {"mask_loss": loss(predictions, targets, total, real)}

    def decode(self, predictions: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        if self.output == "softmax":
            return {"masks": ops.exp(predictions[..., 1])}
        return {"masks": ops.sigmoid(predictions)}
