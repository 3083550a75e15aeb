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

    Args:
        scores: `"logit"` at the peak (torchvision), or its softmax `"probability"` (detectron2).

    Call arguments:
        maps: float32 `[P, M, M, J]` logits.
        rois: float32 `[P, 4]`.

    Returns:
        float32 `[P, J, 3]`: x, y, score.
    """

    def __init__(self, scores: str = "logit", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if scores not in ("logit", "probability"):
            raise ValueError(
                f"scores must be 'logit' or 'probability'. Received: scores={scores!r}"
            )
        self.scores = scores
        self.supports_jit = False  # RoIs are of unlike sizes

    def call(self, maps: Tensor, rois: Tensor) -> Tensor:
        found = decode_keypoints(maps, rois)
        score = found[..., 2:3] if self.scores == "logit" else found[..., 3:]
        return keras.ops.concatenate([found[..., :2], score], axis=-1)

    def compute_output_spec(self, maps: Any, rois: Any) -> keras.KerasTensor:
        return keras.KerasTensor((maps.shape[0], maps.shape[3], 3), "float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scores": self.scores}
