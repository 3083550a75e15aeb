"""Keypoints of RoIs.

Legend: `B` images, `P` RoIs with an object or detections, `N` objects, `J` keypoints.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from keras import ops

from keras_maskrcnn.checks import at_least, one_of
from keras_maskrcnn.heads.base import HEADS, Field, HeadContext, MatchedRoIs, RoIHead
from keras_maskrcnn.layers.keypoint_decode_layer import KeypointDecodeLayer
from keras_maskrcnn.layers.keypoint_head import KeypointHead
from keras_maskrcnn.layers.mask_target_layer import KeypointTargetLayer
from keras_maskrcnn.losses import Total, keypoint_loss

Tensor = Any


@HEADS.register("keypoint")
class Keypoint(RoIHead):
    """One heat map per keypoint (Mask R-CNN, section 5); result `keypoints` `[P, J, 3]`.

    Ground truth `keypoints` `[B, N, J, 3]`: x, y in pixels and visibility 0, 1 or 2.

    Args:
        num_keypoints: `J`.
        name, pool_size, pooler: see `RoIHead`.
        convs, dim: 3x3 convolutions and their channels.
        shift: from the keypoints that the head knows to continuous ones, in pixels of the picture
            as on disk: 0 where it was trained on continuous ones (detectron2), .5 where it was
            trained on COCO's numbers as they are, which count the first pixel's centre as 0
            (torchvision). Data and results are continuous either way.
        scores: of predictions: the `"logit"` at the heat map's peak (torchvision), or its softmax
            `"probability"` (detectron2).
    """

    loss_names = ("keypoint_loss",)

    def __init__(
        self,
        *,
        num_keypoints: int,
        name: str = "keypoint",
        convs: int = 8,
        dim: int = 512,
        pool_size: int = 14,
        pooler: Any = None,
        shift: float = 0.0,
        scores: str = "logit",
    ) -> None:
        super().__init__(name=name, pool_size=pool_size, pooler=pooler)
        one_of("scores", scores, ("logit", "probability"))
        at_least(1, num_keypoints=num_keypoints, dim=dim)
        at_least(0, convs=convs)
        self.num_keypoints = num_keypoints
        self.convs, self.dim = convs, dim
        self.shift = shift
        self.scores = scores

    def build(self, context: HeadContext) -> None:
        super().build(context)
        self.head = KeypointHead(
            self.num_keypoints,
            self.convs,
            self.dim,
            dtype=context.dtype,
            name=f"{self.name}_head",
        )
        self.decode_maps = KeypointDecodeLayer(self.scores, name=f"decode_{self.name}s")
        side = 4 * self.pool_size // context.roi_scale
        self.make_targets = KeypointTargetLayer(side, self.shift, name=f"{self.name}_targets")

    def truth(self, layout: Hashable) -> dict[str, Field]:
        fields: dict[str, Field] = {"keypoints": ((None, self.num_keypoints, 3), "float32")}
        if self.shift:
            fields |= {name: ((2,), "int32") for name in ("image_sizes", "original_sizes")}
        return fields

    def forward(self, features: Tensor, classes: Tensor) -> Tensor:
        return self.head(features)

    def targets(
        self, rois: MatchedRoIs, truth: Mapping[str, Tensor], layout: Hashable
    ) -> dict[str, Tensor]:
        cells, valid = self.make_targets(
            rois.boxes, rois.images, rois.objects, truth["keypoints"], self._scale(truth)
        )
        return {"cells": cells, "valid": valid}

    def _scale(self, truth: Mapping[str, Tensor]) -> Tensor | None:
        """Pixels of the input per pixel on disk, x and y `[B, 2]`, where keypoints are shifted."""
        if not self.shift:
            return None
        sizes, originals = (
            ops.cast(truth[name], "float32") for name in ("image_sizes", "original_sizes")
        )
        return ops.flip(sizes / originals, axis=1)

    def losses(
        self,
        predictions: Tensor,
        targets: Mapping[str, Tensor],
        total: Total,
        real: Tensor | None = None,
    ) -> dict[str, Tensor]:
        valid = targets["valid"]
        if real is not None:
            valid = ops.logical_and(valid, real[:, None])
        loss = keypoint_loss(predictions, targets["cells"], valid, total)
        return {"keypoint_loss": loss}

    def decode(self, predictions: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        return {"keypoints": self.decode_maps(predictions, boxes)}
