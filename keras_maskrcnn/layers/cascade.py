"""What passes from one stage of a cascade to the next.

Legend: `B` images, `S` RoIs of each, `P` RoIs in a list, `N` ground-truth objects, `K` classes.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_maskrcnn.layers.detection_target_layer import classes_of_rois
from keras_maskrcnn.layers.geometry import GeometryLayer
from keras_maskrcnn.ops.boxes import clip_boxes, decode_boxes, encode_boxes
from keras_maskrcnn.ops.gather import take_rows
from keras_maskrcnn.ops.matching import IGNORED, ignore_crowds, match_boxes

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class RefineBoxes(GeometryLayer):
    """Boxes of one stage from those of the one before; no gradient flows through them.

    Args:
        box_weights: scale of the deltas.

    Call arguments:
        boxes: float32 `[P, 4]`.
        deltas: float32 `[P, 1, 4]`.
        owners: int32 `[P]`, the image of each.
        limits: int32 `[B, 2]`, how far boxes may reach.

    Returns:
        float32 `[P, 4]`; one may be empty.
    """

    def __init__(self, box_weights: tuple[float, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.box_weights = tuple(box_weights)

    def call(self, boxes: Tensor, deltas: Tensor, owners: Tensor, limits: Tensor) -> Tensor:
        refined = decode_boxes(deltas[:, 0], boxes, self.box_weights)
        return ops.stop_gradient(clip_boxes(refined, ops.take(limits, owners, axis=0)))

    def compute_output_spec(self, boxes: Any, *others: Any) -> keras.KerasTensor:
        return keras.KerasTensor(boxes.shape, "float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "box_weights": self.box_weights}


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class RelabelRoIs(GeometryLayer):
    """Tells what refined boxes should become; all of them, without sampling.

    Args:
        num_classes: `K`.
        iou: a box is positive from this IoU with an object on, else negative.
        box_weights: scale of the deltas.
        crowd_overlap: share of a negative's area in a crowd region from which it is ignored.

    Call arguments:
        rois: float32 `[B, S, 4]`; empty ones are ignored.
        valid: bool `[B, S]`.
        boxes: float32 `[B, N, 4]` ground truth.
        classes: int32 `[B, N]`, -1 for padding.
        crowd_boxes: float32 `[B, Nc, 4]`.

    Returns:
        classes int32 `[B, S]`: 0..K-1, `K` background, -1 ignored; target deltas float32
        `[B, S, 4]`.
    """

    def __init__(
        self,
        num_classes: int,
        iou: float,
        box_weights: tuple[float, ...],
        crowd_overlap: float = 0.7,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.iou = iou
        self.box_weights = tuple(box_weights)
        self.crowd_overlap = crowd_overlap

    def call(
        self, rois: Tensor, valid: Tensor, boxes: Tensor, classes: Tensor, crowd_boxes: Tensor
    ) -> tuple[Tensor, Tensor]:
        matched, labels = match_boxes(rois, boxes, classes >= 0, self.iou, self.iou)
        labels = ignore_crowds(labels, rois, crowd_boxes, self.crowd_overlap)
        has_extent = ops.all(rois[..., 2:] > rois[..., :2], axis=-1)
        labels = ops.where(valid & has_extent, labels, IGNORED)
        return (
            classes_of_rois(labels, matched, classes, self.num_classes),
            encode_boxes(take_rows(boxes, matched), rois, self.box_weights),
        )

    def compute_output_spec(self, rois: Any, *others: Any) -> tuple[keras.KerasTensor, ...]:
        return keras.KerasTensor(rois.shape[:2], "int32"), keras.KerasTensor(rois.shape, "float32")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "iou": self.iou,
            "box_weights": self.box_weights,
            "crowd_overlap": self.crowd_overlap,
        }


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class ScaleGradient(keras.layers.Layer):
    """The values as they are; their gradient times `scale`."""

    def __init__(self, scale: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, values: Tensor) -> Tensor:
        return values + (self.scale - 1.0) * (values - ops.stop_gradient(values))

    def compute_output_shape(self, shape: Any) -> Any:
        return shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale}
