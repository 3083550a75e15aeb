"""What the mask and keypoint heads should say."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_maskrcnn.layers.geometry import GeometryLayer
from keras_maskrcnn.layers.roi_selection import take_objects
from keras_maskrcnn.ops.mask_targets import (
    keypoint_targets,
    masks_from_crops,
    masks_from_pictures,
)

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class MaskTargetLayer(GeometryLayer):
    """Each RoI's view of its object's outline (Mask R-CNN section 3.1).

    Args:
        size: `M`.
        binary: threshold the targets at .5 (detectron2) rather than keep coverage (torchvision).
        whole_pictures: masks come as `[B, N, H, W]` in the RoIs' pixels rather than cropped.
        aligned: RoIAlign's half-pixel shift, for whole pictures.

    Call arguments:
        rois: float32 `[P, 4]`.
        images: int32 `[P]` image of each RoI.
        matched: int32 `[P]` object of each RoI.
        masks: uint8 `[B, N, h, w]`, 255 inside.
        boxes: float32 `[B, N, 4]` to which the masks were cropped.

    Returns:
        float32 `[P, M, M]` in 0..1.
    """

    def __init__(
        self,
        size: int = 28,
        binary: bool = False,
        whole_pictures: bool = False,
        aligned: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        self.size = size
        self.binary = binary
        self.whole_pictures = whole_pictures
        self.aligned = aligned

    def call(
        self, rois: Tensor, images: Tensor, matched: Tensor, masks: Tensor, boxes: Tensor
    ) -> Tensor:
        # bfloat16 holds 0..255, and a GPU can take its rows; of uint8 it cannot.
        own = take_objects(ops.cast(masks, "bfloat16"), images, matched)
        own = ops.cast(own, "float32") / 255.0
        if self.whole_pictures:
            targets = masks_from_pictures(own, rois, self.size, self.aligned)
        else:
            frames = take_objects(boxes, images, matched)
            targets = masks_from_crops(own, frames, rois, self.size)
        return ops.cast(targets >= 0.5, "float32") if self.binary else targets

    def compute_output_spec(self, rois: Any, *others: Any) -> keras.KerasTensor:
        return keras.KerasTensor((rois.shape[0], self.size, self.size), "float32")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "size": self.size,
            "binary": self.binary,
            "whole_pictures": self.whole_pictures,
            "aligned": self.aligned,
        }


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class KeypointTargetLayer(GeometryLayer):
    """The heat-map cell of each RoI's keypoints (Mask R-CNN section 5).

    Args:
        size: side of the heat map.
        shift: by how much less the head counts, in pixels of the picture as on disk.

    Call arguments:
        rois: float32 `[P, 4]`.
        images: int32 `[P]` image of each RoI.
        matched: int32 `[P]` object of each RoI.
        keypoints: float32 `[B, N, J, 3]`.
        scale: float32 `[B, 2]`, x and y: pixels of `keypoints` per pixel of the picture as on disk;
            needed with a `shift`.

    Returns:
        int32 `[P, J]` cells and bool `[P, J]` which of them count.
    """

    def __init__(self, size: int = 56, shift: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size
        self.shift = shift

    def call(
        self,
        rois: Tensor,
        images: Tensor,
        matched: Tensor,
        keypoints: Tensor,
        scale: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        own = take_objects(keypoints, images, matched)
        if self.shift:
            less = self.shift * ops.take(scale, ops.cast(images, "int32"), axis=0)  # [P, 2]
            places = own[..., :2] - less[:, None]
            own = ops.concatenate([places, own[..., 2:]], axis=-1)
        return keypoint_targets(own, rois, self.size)

    def compute_output_spec(
        self, rois: Any, images: Any, matched: Any, keypoints: Any, scale: Any = None
    ) -> tuple[keras.KerasTensor, ...]:
        shape = (rois.shape[0], keypoints.shape[2])
        return keras.KerasTensor(shape, "int32"), keras.KerasTensor(shape, "bool")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size, "shift": self.shift}
