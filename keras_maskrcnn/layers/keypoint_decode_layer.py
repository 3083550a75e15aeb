"""Keypoints from heat maps."""

from __future__ import annotations

from typing import Any

import keras

from keras_maskrcnn.layers.geometry import GeometryLayer
from keras_maskrcnn.ops.keypoints import decode_keypoints

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class KeypointDecodeLayer(GeometryLayer):
    """Finds each heat map's peak at the resolution of its RoI (Mask R-CNN section 5).

    Call arguments:
        maps: float32 `[P, M, M, J]` logits.
        rois: float32 `[P, 4]`.

    Returns:
        float32 `[P, J, 3]`: x, y, and the logit at the peak.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_jit = False  # RoIs are of unlike sizes

    def call(self, maps: Tensor, rois: Tensor) -> Tensor:
        return decode_keypoints(maps, rois)[..., :3]

    def compute_output_spec(self, maps: Any, rois: Any) -> keras.KerasTensor:
        return keras.KerasTensor((maps.shape[0], maps.shape[3], 3), "float32")
