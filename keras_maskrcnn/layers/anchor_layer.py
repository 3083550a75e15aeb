"""Anchors of every pyramid level."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_maskrcnn.layers.geometry import GeometryLayer
from keras_maskrcnn.ops.anchors import cell_anchors, grid_anchors

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class AnchorLayer(GeometryLayer):
    """Boxes that the RPN's outputs refer to (Faster R-CNN section 3.1.1, FPN section 4.1).

    Args:
        sizes: per level, square roots of the anchors' areas in pixels.
        ratios: heights over widths.
        strides: pixels between cells, per level.
        offset: position of a cell's centre, in strides.
        style: `"exact"` or `"torchvision"`; the latter rounds the cell's anchors and takes the
            stride as picture size // grid size.

    Call arguments:
        images: `[B, H, W, 3]`; only their size is read.
        features: list of `[B, h, w, C]`; only their sizes are read.

    Returns:
        list of float32 `[1, h * w * a, 4]`, the same for every image.

    Raises:
        ValueError: when sizes and strides are not of equal number.
    """

    def __init__(
        self,
        sizes: tuple[tuple[float, ...], ...],
        ratios: tuple[float, ...],
        strides: tuple[int, ...],
        offset: float = 0.0,
        style: str = "exact",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if len(sizes) != len(strides):
            raise ValueError(
                "anchors need one tuple of sizes per level. "
                f"Received: sizes={sizes}, strides={strides}"
            )
        self.sizes = tuple(tuple(level) for level in sizes)
        self.ratios = tuple(ratios)
        self.strides = tuple(strides)
        self.offset = offset
        self.style = style

    @property
    def anchors_per_cell(self) -> int:
        """Anchors of one cell; equal for all levels."""
        return len(self.sizes[0]) * len(self.ratios)

    def call(self, images: Tensor, features: list[Tensor]) -> list[Tensor]:
        height, width = ops.shape(images)[1:3]
        anchors = []
        for level, sizes, stride in zip(features, self.sizes, self.strides, strict=True):
            h, w = ops.shape(level)[1:3]
            steps = (height // h, width // w) if self.style == "torchvision" else (stride, stride)
            cells = cell_anchors(sizes, self.ratios, self.style)
            anchors.append(grid_anchors(cells, (h, w), steps, self.offset)[None])
        return anchors

    def compute_output_spec(self, images: Any, features: list[Any]) -> list[keras.KerasTensor]:
        specs = []
        for level in features:
            height, width = level.shape[1:3]
            is_known = height is not None and width is not None
            count = height * width * self.anchors_per_cell if is_known else None
            specs.append(keras.KerasTensor((1, count, 4), "float32"))
        return specs

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "sizes": self.sizes,
            "ratios": self.ratios,
            "strides": self.strides,
            "offset": self.offset,
            "style": self.style,
        }
