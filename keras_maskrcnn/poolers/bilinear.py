"""Poolers that read their regions bilinearly, by the one op."""

from __future__ import annotations

from typing import Any

from keras_maskrcnn.ops.roi_align import roi_align
from keras_maskrcnn.poolers.base import RoIPooler

Tensor = Any


class BilinearPooler(RoIPooler):
    """Base of the poolers that differ in which region they read and how densely.

    Attributes:
        sampling_ratio, aligned: see `ops.roi_align.roi_align`.
    """

    sampling_ratio: int = 1
    aligned: bool = True

    def pool(self, features: list[Tensor], boxes: Tensor, images: Tensor, levels: Tensor) -> Tensor:
        return roi_align(
            features,
            boxes,
            images,
            levels,
            output_size=self.output_size,
            scales=self.scales,
            sampling_ratio=self.sampling_ratio,
            aligned=self.aligned,
            backend=self.backend,
        )
