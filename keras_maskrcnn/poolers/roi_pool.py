"""The pooling that RoIAlign replaced (Fast R-CNN, section 2.1)."""

from __future__ import annotations

from typing import Any

import keras

from keras_maskrcnn.ops.roi_pool import roi_pool
from keras_maskrcnn.poolers.base import POOLERS, RoIPooler

Tensor = Any


@POOLERS.register("roi_pool")
@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class RoIPoolLayer(RoIPooler):
    """RoIPool in RoIAlign's place, for the comparison of Mask R-CNN's table 2c."""

    gathers = False  # Bins hold as many cells as they do.

    def pool(self, features: list[Tensor], boxes: Tensor, images: Tensor, levels: Tensor) -> Tensor:
        return roi_pool(
            features,
            boxes,
            images,
            levels,
            output_size=self.output_size,
            scales=self.scales,
            backend=self.backend,
        )
