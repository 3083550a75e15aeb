"""How far boxes may reach."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_maskrcnn.checks import one_of
from keras_maskrcnn.layers.geometry import GeometryLayer
from keras_maskrcnn.ops.boxes import end_after_last_pixel, end_on_last_pixel

Tensor = Any

BOX_STYLES = ("continuous", "matterport")


class Coordinates:
    """In which form boxes stand inside a network; ground truth and results are continuous.

    Args:
        style: `"continuous"`, or `"matterport"`: boxes end on their last pixel (x2 - 1), and
            proposals may reach into the padding.
    """

    def __init__(self, style: str) -> None:
        one_of("box_style", style, BOX_STYLES)
        self.style = style
        self._limits = BoxLimits(style, name="box_limits")

    def to_inner(self, boxes: Tensor) -> Tensor:
        """Continuous boxes in the style that the network computes with."""
        return boxes if self.style == "continuous" else end_on_last_pixel(boxes)

    def to_outer(self, boxes: Tensor) -> Tensor:
        """Inverse of `to_inner`."""
        return boxes if self.style == "continuous" else end_after_last_pixel(boxes)

    def limits(self, images: Tensor, image_sizes: Tensor) -> tuple[Tensor, Tensor]:
        """How far proposals, and detections, may reach; see `BoxLimits`."""
        return self._limits(images, image_sizes)


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class BoxLimits(GeometryLayer):
    """Limits to which proposals and detections are clipped.

    Args:
        style: `"continuous"`: both end with the picture. `"matterport"`: boxes end on their last
            pixel, and proposals may reach into the padding.

    Call arguments:
        images: `[B, H, W, 3]`; only their size is read.
        image_sizes: int32 `[B, 2]`.

    Returns:
        two int32 `[B, 2]`, largest y and x: of proposals, and of detections.
    """

    def __init__(self, style: str = "continuous", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.style = style

    def call(self, images: Tensor, image_sizes: Tensor) -> tuple[Tensor, Tensor]:
        if self.style == "continuous":
            return image_sizes, image_sizes
        height, width = ops.shape(images)[1:3]
        padded = ops.cast(ops.stack([height, width]), image_sizes.dtype)
        return ops.zeros_like(image_sizes) + padded - 1, image_sizes - 1

    def compute_output_spec(self, images: Any, image_sizes: Any) -> tuple[Any, Any]:
        # Two tensors: Keras tells a model's tensors apart by identity.
        proposals, detections = (
            keras.KerasTensor(image_sizes.shape, image_sizes.dtype) for _ in range(2)
        )
        return proposals, detections

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "style": self.style}
