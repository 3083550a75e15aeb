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
    """RoIAlign of every box on its pyramid level.

    Args:
        output_size: bins per side, or (height, width).
        strides: image pixels per cell of each level, finest first, each twice the one before.
        sampling_ratio, aligned: see `ops.roi_align.roi_align`.
        backend: see `ops.roi_align.roi_align_backend`; may be set afterwards too, as an export
            does to leave the compiled op out.

    Call arguments:
        features: list of `[B, H_l, W_l, C]`, finest level first.
        boxes: float32 `[B, R, 4]` image pixels; or `[P, 4]` with `images`.
        images: int32 `[P]` image of each box, for a list of boxes without padding.

    Returns:
        `[B, R, ph, pw, C]`, or `[P, ph, pw, C]`, in the dtype of the features.

    Raises:
        ValueError: for strides that are not those of a pyramid, or a list of boxes without images.

    Example:
        >>> features = [keras.ops.ones((2, 64 // s, 64 // s, 16)) for s in (4, 8, 16, 32)]
        >>> boxes = keras.ops.convert_to_tensor([[[0.0, 0.0, 60.0, 40.0]]] * 2)
        >>> RoIAlignLayer(7)(features, boxes).shape
        TensorShape([2, 1, 7, 7, 16])
    """

    def __init__(
        self,
        output_size: int | tuple[int, int] = 7,
        strides: tuple[int, ...] = (4, 8, 16, 32),
        sampling_ratio: int = 2,
        aligned: bool = True,
        backend: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)  # features keep their dtype
        doubling = [strides[0] * 2**level for level in range(len(strides))]
        if list(strides) != doubling or strides[0].bit_count() != 1:
            raise ValueError(
                "strides must be powers of two, each twice the one before. "
                f"Received: strides={strides}"
            )
        if isinstance(output_size, int):
            output_size = (output_size, output_size)
        self.output_size = (output_size[0], output_size[1])
        self.strides = tuple(strides)
        self.sampling_ratio = sampling_ratio
        self.aligned = aligned
        self.backend = backend
        # XLA knows neither the compiled op nor TensorFlow's sparse product. Keras asks the layers
        # when a model is compiled with jit_compile="auto", the default.
        self.supports_jit = (backend or "auto") == "gather"

    def call(self, features: list[Tensor], boxes: Tensor, images: Tensor | None = None) -> Tensor:
        leading = ops.shape(boxes)[:-1]
        if images is None and len(boxes.shape) != 3:
            raise ValueError(
                "boxes must be [B, R, 4]; a list of boxes [P, 4] needs the images [P] that they "
                f"are in. Received: boxes of shape {boxes.shape}, images=None"
            )
        if images is None:
            images = ops.broadcast_to(ops.arange(leading[0], dtype="int32")[:, None], leading)
        regions, levels = self.regions(features, boxes)
        pooled = self.pool(
            features,
            ops.reshape(regions, (-1, 4)),
            ops.reshape(images, (-1,)),
            ops.reshape(levels, (-1,)),
        )
        return ops.reshape(pooled, (*leading, *self.output_size, features[0].shape[-1]))

    def regions(self, features: list[Tensor], boxes: Tensor) -> tuple[Tensor, Tensor]:
        """What to pool for each box, and its level (FPN, equation 1), 0 for the finest."""
        lowest = (self.strides[0]).bit_length() - 1
        return boxes, assign_levels(boxes, lowest, lowest + len(self.strides) - 1)

    def pool(self, features: list[Tensor], *rois: Tensor) -> Tensor:
        """The op: rois are the boxes, their images and their levels; `[P, ph, pw, C]`."""
        return roi_align(
            features,
            *rois,
            output_size=self.output_size,
            scales=[1 / stride for stride in self.strides],
            sampling_ratio=self.sampling_ratio,
            aligned=self.aligned,
            backend=self.backend,
        )

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
            "backend": self.backend,
        }
