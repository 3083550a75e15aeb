"""The pooling between RoIPool and RoIAlign (Dai et al. 2016, arXiv 1512.04412)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_maskrcnn.ops.gather import take
from keras_maskrcnn.poolers.base import POOLERS
from keras_maskrcnn.poolers.bilinear import BilinearPooler

Tensor = Any


@POOLERS.register("roi_warp")
@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class RoIWarpLayer(BilinearPooler):
    """RoIWarp: bilinear readings as RoIAlign's, in a RoI that is rounded as RoIPool's.

    The comparison of Mask R-CNN's table 2c: what is lost without alignment even when nothing is
    lost inside of the bins. Sides are rounded to whole cells, halves away from zero, and the last
    cell belongs to the RoI, as in Fast R-CNN's kernel.

    Args:
        output_size, strides: see `RoIPooler`, which tells calls and results too.
        sampling_ratio: readings per bin and axis, see `ops.roi_align.roi_align`.
        backend: see `ops.roi_align.roi_align_backend`.
    """

    def __init__(
        self,
        output_size: int | tuple[int, int] = 7,
        strides: tuple[int, ...] = (4, 8, 16, 32),
        sampling_ratio: int = 2,
        backend: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(output_size, strides, backend, **kwargs)
        self.sampling_ratio = sampling_ratio
        # As of `RoIAlignLayer`.
        self.supports_jit = self.supports_jit and sampling_ratio > 0

    def regions(self, features: list[Tensor], boxes: Tensor) -> tuple[Tensor, Tensor]:
        boxes, levels = super().regions(features, boxes)
        strides = take(ops.convert_to_tensor(self.strides, "float32"), levels)[..., None]
        cells = boxes / strides
        cells = ops.sign(cells) * ops.floor(ops.abs(cells) + 0.5)
        # From the first cell's edge to the last one's, at least one cell.
        start = cells[..., :2]
        end = ops.maximum(cells[..., 2:] + 1.0, start + 1.0)
        return ops.concatenate([start, end], axis=-1) * strides, levels

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "sampling_ratio": self.sampling_ratio}
