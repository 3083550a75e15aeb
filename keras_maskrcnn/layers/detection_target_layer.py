"""Sampled RoIs and what the heads should say about them."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_maskrcnn.layers.geometry import GeometryLayer
from keras_maskrcnn.ops import sampling
from keras_maskrcnn.ops.boxes import encode_boxes
from keras_maskrcnn.ops.gather import take_rows
from keras_maskrcnn.ops.matching import IGNORED, POSITIVE, ignore_crowds, match_boxes

Tensor = Any


def classes_of_rois(labels: Tensor, matched: Tensor, classes: Tensor, num_classes: int) -> Tensor:
    """What RoIs are: 0..K-1, `K` background, -1 ignored.

    Args:
        labels: int32 `[B, S]` of `ops.matching`.
        matched: int32 `[B, S]` object of each.
        classes: int32 `[B, N]` of the objects.
        num_classes: `K`.
    """
    labels = ops.cast(labels, "float32")  # int32 is compared on the host.
    others = ops.where(labels == IGNORED, -1, num_classes)
    return ops.where(labels == POSITIVE, take_rows(classes, matched), others)


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class DetectionTargetLayer(GeometryLayer):
    """Samples RoIs from proposals and ground truth (Fast R-CNN section 2.3, Mask R-CNN 3.1).

    Ground-truth boxes join the proposals, so that the heads see every object from the first step.

    Args:
        num_classes: `K`.
        num_samples: `S` per image.
        positive_fraction: share of them that may be positive.
        iou: a proposal is positive from this IoU on, else negative.
        box_weights: scale of the deltas.
        crowd_overlap: share of a negative's area in a crowd region from which it is ignored.
        seed: of the sampler.

    Call arguments:
        proposals: float32 `[B, R, 4]`.
        valid: bool `[B, R]`.
        boxes: float32 `[B, N, 4]` ground truth.
        classes: int32 `[B, N]`, -1 for padding.
        crowd_boxes: float32 `[B, Nc, 4]`.

    Returns:
        rois float32 `[B, S, 4]`, positives first, 0 where padded;
        classes int32 `[B, S]`: 0..K-1, `K` background, -1 padding;
        target deltas float32 `[B, S, 4]`; and
        matched object int32 `[B, S]`.
    """

    def __init__(
        self,
        num_classes: int,
        num_samples: int = 512,
        positive_fraction: float = 0.25,
        iou: float = 0.5,
        box_weights: tuple[float, ...] = (10.0, 10.0, 5.0, 5.0),
        crowd_overlap: float = 0.7,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.num_samples = num_samples
        self.positive_fraction = positive_fraction
        self.iou = iou
        self.box_weights = tuple(box_weights)
        self.crowd_overlap = crowd_overlap
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(
        self, proposals: Tensor, valid: Tensor, boxes: Tensor, classes: Tensor, crowd_boxes: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        real = classes >= 0
        candidates = ops.concatenate([proposals, boxes], axis=1)
        matched, labels = match_boxes(candidates, boxes, real, self.iou, self.iou)
        labels = ignore_crowds(labels, candidates, crowd_boxes, self.crowd_overlap)
        labels = ops.where(ops.concatenate([valid, real], axis=1), labels, IGNORED)
        priorities = sampling.random_priorities(ops.shape(candidates)[:2], self.seed_generator)
        indices, chosen = sampling.sample_labels(
            labels, self.num_samples, self.positive_fraction, priorities
        )

        rois = take_rows(candidates, indices)
        rois = ops.where((ops.cast(chosen, "float32") != IGNORED)[..., None], rois, 0.0)
        matched = take_rows(matched, indices)
        roi_classes = classes_of_rois(chosen, matched, classes, self.num_classes)
        deltas = encode_boxes(take_rows(boxes, matched), rois, self.box_weights)
        return rois, roi_classes, deltas, matched

    def compute_output_spec(self, proposals: Any, *others: Any) -> tuple[keras.KerasTensor, ...]:
        slots = (proposals.shape[0], self.num_samples)
        return (
            keras.KerasTensor((*slots, 4), "float32"),
            keras.KerasTensor(slots, "int32"),
            keras.KerasTensor((*slots, 4), "float32"),
            keras.KerasTensor(slots, "int32"),
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "num_samples": self.num_samples,
            "positive_fraction": self.positive_fraction,
            "iou": self.iou,
            "box_weights": self.box_weights,
            "crowd_overlap": self.crowd_overlap,
            "seed": self.seed,
        }
