"""Targets of the region proposal network."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_maskrcnn.layers.geometry import GeometryLayer
from keras_maskrcnn.ops import sampling
from keras_maskrcnn.ops.boxes import encode_boxes
from keras_maskrcnn.ops.gather import take_rows
from keras_maskrcnn.ops.matching import ignore_crowds, match_boxes

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class AnchorTargetLayer(GeometryLayer):
    """Labels anchors and samples those that enter the RPN's losses (Faster R-CNN section 3.1.2).

    Args:
        positive_iou, negative_iou: labelling thresholds.
        num_samples: anchors sampled per image.
        positive_fraction: share of them that may be positive.
        box_weights: scale of the deltas.
        crowd_overlap: share of a negative's area in a crowd region from which it is ignored.
        match_zero_iou: see `ops.matching.match`.
        seed: of the sampler.

    Call arguments:
        anchors: float32 `[1, A, 4]`.
        boxes: float32 `[B, N, 4]` ground truth.
        classes: int32 `[B, N]`, -1 for padding.
        crowd_boxes: float32 `[B, Nc, 4]`.

    Returns:
        labels int32 `[B, A]`: 1, 0, or -1 where not sampled; and target deltas float32 `[B, A, 4]`.
    """

    def __init__(
        self,
        positive_iou: float = 0.7,
        negative_iou: float = 0.3,
        num_samples: int = 256,
        positive_fraction: float = 0.5,
        box_weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0),
        crowd_overlap: float = 0.7,
        match_zero_iou: bool = False,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.positive_iou = positive_iou
        self.negative_iou = negative_iou
        self.num_samples = num_samples
        self.positive_fraction = positive_fraction
        self.box_weights = tuple(box_weights)
        self.crowd_overlap = crowd_overlap
        self.match_zero_iou = match_zero_iou
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(
        self, anchors: Tensor, boxes: Tensor, classes: Tensor, crowd_boxes: Tensor
    ) -> tuple[Tensor, Tensor]:
        matched, labels = match_boxes(
            anchors,
            boxes,
            classes >= 0,
            self.positive_iou,
            self.negative_iou,
            best_anchors=True,
            match_zero_iou=self.match_zero_iou,
        )
        labels = ignore_crowds(labels, anchors, crowd_boxes, self.crowd_overlap)
        # Not the labels' own: TensorFlow reads the shape of int32 on the host.
        shape = (ops.shape(boxes)[0], ops.shape(anchors)[1])
        priorities = sampling.random_priorities(shape, self.seed_generator)
        indices, chosen = sampling.sample_labels(
            labels, self.num_samples, self.positive_fraction, priorities
        )
        labels = sampling.scatter_labels(indices, chosen, shape)
        targets = take_rows(boxes, matched)
        return labels, encode_boxes(targets, anchors, self.box_weights)

    def compute_output_spec(
        self, anchors: Any, boxes: Any, classes: Any, crowd_boxes: Any
    ) -> tuple[keras.KerasTensor, ...]:
        labels = (boxes.shape[0], anchors.shape[1])
        return keras.KerasTensor(labels, "int32"), keras.KerasTensor((*labels, 4), "float32")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "positive_iou": self.positive_iou,
            "negative_iou": self.negative_iou,
            "num_samples": self.num_samples,
            "positive_fraction": self.positive_fraction,
            "box_weights": self.box_weights,
            "crowd_overlap": self.crowd_overlap,
            "match_zero_iou": self.match_zero_iou,
            "seed": self.seed,
        }
