"""The pooling that RoIAlign replaced (Fast R-CNN, section 2.1)."""

from __future__ import annotations

from typing import Any

import keras

from keras_maskrcnn.layers.roi_align import RoIAlignLayer
from keras_maskrcnn.ops.roi_pool import roi_pool

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class RoIPoolLayer(RoIAlignLayer):
    """RoIPool in RoIAlign's place, for the comparison of Mask R-CNN's table 2c.

    Arguments and calls as `RoIAlignLayer`; `sampling_ratio` and `aligned` have no meaning here.
    """

    def pool(self, features: list[Tensor], *rois: Tensor) -> Tensor:
        return roi_pool(
            features,
            *rois,
            output_size=self.output_size,
            scales=[1 / stride for stride in self.strides],
            backend=self.backend,
        )
