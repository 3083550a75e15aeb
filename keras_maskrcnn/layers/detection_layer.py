"""From the box head's outputs to detections."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_maskrcnn.layers.geometry import GeometryLayer
from keras_maskrcnn.ops.boxes import clip_boxes, decode_boxes
from keras_maskrcnn.ops.gather import take_rows
from keras_maskrcnn.ops.nms import batched_nms
from keras_maskrcnn.ops.soft_nms import gaussian_decay, linear_decay, soft_nms

Tensor = Any

NMS_RULES = ("per_class", "cross_class", "soft_linear", "soft_gaussian")

# Sides below this are no boxes any more (torchvision).
_MIN_SIDE = 1e-2


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class DetectionLayer(GeometryLayer):
    """Refines proposals into detections (Mask R-CNN section 3.1, Inference).

    Every class of every proposal above the score threshold is a candidate with its own box;
    near-duplicates are suppressed, by default class by class, and the best `max_detections` remain.

    Args:
        score_threshold: candidates at or below it are dropped; with a soft rule also those whose
            score falls to it.
        nms_iou: overlap from which the worse of two boxes of a class is dropped, or with
            `"soft_linear"` its score falls.
        max_detections: `D`.
        box_weights: scale of the deltas.
        one_class_per_roi: only the best class of a proposal is a candidate; none where that is the
            background.
        nms: `"per_class"`; `"cross_class"`: the better of two boxes stays whatever their classes;
            or Soft-NMS within each class, which lowers the score of a box for its overlap with a
            better one: `"soft_linear"`, times 1 - IoU, or `"soft_gaussian"`, times
            exp(-IoU^2 / `soft_sigma`). Scores are the lowered ones.
        soft_sigma: see `nms`; .5 in the paper (Bodla et al. 2017).
        looped_nms: see `ops.nms.batched_nms`.

    Call arguments:
        rois: float32 `[B, R, 4]`.
        valid: bool `[B, R]`.
        class_logits: float32 `[B, R, K + 1]`, background last.
        deltas: float32 `[B, R, K, 4]`, or `[B, R, 1, 4]` for all classes.
        image_sizes: int32 `[B, 2]`.

    Returns:
        dict of `boxes` float32 `[B, D, 4]`, `scores` float32 `[B, D]` falling, `classes` int32
        `[B, D]` (-1 where padded) and `counts` int32 `[B]`.
    """

    def __init__(
        self,
        score_threshold: float = 0.05,
        nms_iou: float = 0.5,
        max_detections: int = 100,
        box_weights: tuple[float, ...] = (10.0, 10.0, 5.0, 5.0),
        one_class_per_roi: bool = False,
        nms: str = "per_class",
        soft_sigma: float = 0.5,
        looped_nms: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.score_threshold = score_threshold
        self.nms_iou = nms_iou
        self.max_detections = max_detections
        self.box_weights = tuple(box_weights)
        self.one_class_per_roi = one_class_per_roi
        self.nms = nms
        self.soft_sigma = soft_sigma
        self.looped_nms = looped_nms

    def call(
        self, rois: Tensor, valid: Tensor, class_logits: Tensor, deltas: Tensor, image_sizes: Tensor
    ) -> dict[str, Tensor]:
        num_classes = class_logits.shape[2] - 1
        boxes = decode_boxes(deltas, rois[:, :, None], self.box_weights)  # [B, R, K or 1, 4]
        boxes = clip_boxes(boxes, image_sizes)
        if deltas.shape[2] < num_classes:
            boxes = ops.repeat(boxes, num_classes, axis=2)
        boxes = ops.reshape(boxes, (ops.shape(rois)[0], -1, 4))
        scores = ops.softmax(class_logits, axis=-1)[..., :num_classes]
        scores = ops.where(ops.expand_dims(valid, -1), scores, 0.0)
        if self.one_class_per_roi:
            best = ops.expand_dims(ops.argmax(class_logits, axis=-1), -1)
            scores = ops.where(ops.arange(num_classes, dtype=best.dtype) == best, scores, 0.0)
        scores = ops.reshape(scores, (ops.shape(rois)[0], -1))  # [B, R * K]
        sides = boxes[..., 2:] - boxes[..., :2]
        scores = ops.where(ops.all(sides >= _MIN_SIDE, axis=-1), scores, 0.0)
        index_class = ops.arange(ops.shape(scores)[1], dtype="int32") % num_classes
        classes = ops.broadcast_to(index_class[None], ops.shape(scores))

        index, scores, counts = self._suppress(boxes, scores, classes)
        # As floats: int32 is compared on the host.
        slots = ops.arange(self.max_detections, dtype="float32")
        kept = slots < ops.cast(counts, "float32")[:, None]
        boxes = take_rows(boxes, index)
        return {
            "boxes": ops.where(ops.expand_dims(kept, -1), boxes, 0.0),
            "scores": ops.where(kept, scores, 0.0),
            "classes": ops.where(kept, take_rows(classes, index), -1),
            "counts": counts,
        }

    def _suppress(
        self, boxes: Tensor, scores: Tensor, classes: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Indices and scores `[B, D]` of those that remain, and their counts `[B]`."""
        if self.nms.startswith("soft"):
            is_linear = self.nms == "soft_linear"
            decay = linear_decay(self.nms_iou) if is_linear else gaussian_decay(self.soft_sigma)
            return soft_nms(
                boxes, scores, classes, decay, self.max_detections, self.score_threshold
            )
        groups = ops.zeros_like(classes) if self.nms == "cross_class" else classes
        index, counts = batched_nms(
            boxes,
            scores,
            groups,
            self.nms_iou,
            self.max_detections,
            self.score_threshold,
            self.looped_nms,
        )
        return index, take_rows(scores, index), counts

    def compute_output_spec(
        self, rois: Any, valid: Any, class_logits: Any, deltas: Any, image_sizes: Any
    ) -> dict[str, keras.KerasTensor]:
        slots = (rois.shape[0], self.max_detections)
        return {
            "boxes": keras.KerasTensor((*slots, 4), "float32"),
            "scores": keras.KerasTensor(slots, "float32"),
            "classes": keras.KerasTensor(slots, "int32"),
            "counts": keras.KerasTensor(slots[:1], "int32"),
        }

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "score_threshold": self.score_threshold,
            "nms_iou": self.nms_iou,
            "max_detections": self.max_detections,
            "box_weights": self.box_weights,
            "one_class_per_roi": self.one_class_per_roi,
            "nms": self.nms,
            "soft_sigma": self.soft_sigma,
            "looped_nms": self.looped_nms,
        }
