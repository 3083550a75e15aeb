"""Pools feature maps inside boxes without rounding (Mask R-CNN, section 3)."""

from __future__ import annotations

from typing import Any

import keras

from keras_maskrcnn.poolers.base import POOLERS
from keras_maskrcnn.poolers.bilinear import BilinearPooler

Tensor = Any


@POOLERS.register("roi_align")
@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class RoIAlignLayer(BilinearPooler):
    """RoIAlign of every box on its pyramid level.

    Args:
        output_size, strides: see `RoIPooler`, which tells calls and results too.
        sampling_ratio, aligned: see `ops.roi_align.roi_align`.
        backend: see `ops.roi_align.roi_align_backend`.

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
        super().__init__(output_size, strides, backend, **kwargs)
        self.sampling_ratio = sampling_ratio
        self.aligned = aligned
        # Adaptive, the number of samples depends on the RoI.
        self.supports_jit = self.supports_jit and sampling_ratio > 0

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "sampling_ratio": self.sampling_ratio,
            "aligned": self.aligned,
        }
