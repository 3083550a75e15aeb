"""Pools feature maps inside boxes (Mask R-CNN, section 3)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_maskrcnn.layers.geometry import GeometryLayer
from keras_maskrcnn.ops.boxes import assign_levels
from keras_maskrcnn.ops.roi_align import roi_align

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class RoIAlignLayer(GeometryLayer):
    """RoIAlign of every box on its pyramid level (first usable version).

    Call arguments:
        features: list of `[B, H_l, W_l, C]`, finest level first.
        boxes: float32 `[B, R, 4]` image pixels; or `[P, 4]` with `images`.
        images: int32 `[P]` image of each box, for a list of boxes without padding.

    Returns:
        `[B, R, ph, pw, C]`, or `[P, ph, pw, C]`, in the dtype of the features.
    """

    def __init__(
        self,
        output_size: int | tuple[int, int] = 7,
        strides: tuple[int, ...] = (4, 8, 16, 32),
        sampling_ratio: int = 2,
        aligned: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)  # features keep their dtype
        self.supports_jit = False
        size = (output_size, output_size) if isinstance(output_size, int) else output_size
        self.output_size = tuple(size)
        self.strides = tuple(strides)
        self.sampling_ratio = sampling_ratio
        self.aligned = aligned

    def call(self, features: list[Tensor], boxes: Tensor, images: Tensor | None = None) -> Tensor:
        leading = ops.shape(boxes)[:-1]
        if images is None:
            images = ops.broadcast_to(ops.arange(leading[0], dtype="int32")[:, None], leading)
        lowest = (self.strides[0]).bit_length() - 1
        levels = assign_levels(boxes, lowest, lowest + len(self.strides) - 1)
        pooled = roi_align(
            features,
            ops.reshape(boxes, (-1, 4)),
            ops.reshape(images, (-1,)),
            ops.reshape(levels, (-1,)),
            output_size=self.output_size,
            scales=tuple(1 / stride for stride in self.strides),
            sampling_ratio=self.sampling_ratio,
            aligned=self.aligned,
        )
        return ops.reshape(pooled, (*leading, *self.output_size, features[0].shape[-1]))

    def compute_output_spec(
        self, features: list[Any], boxes: Any, images: Any = None
    ) -> keras.KerasTensor:
        shape = (*boxes.shape[:-1], *self.output_size, features[0].shape[-1])
        return keras.KerasTensor(shape, features[0].dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "output_size": self.output_size,
            "strides": self.strides,
            "sampling_ratio": self.sampling_ratio,
            "aligned": self.aligned,
        }
