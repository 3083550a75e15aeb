"""Classes and boxes of RoIs: sampling, forward pass, losses, detections.

Legend: `B` images, `R` proposals, `S` sampled RoIs of all images, `D` detections, `K` classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from keras import ops

from keras_maskrcnn.checks import at_least, fraction, one_of
from keras_maskrcnn.heads.base import HeadContext
from keras_maskrcnn.layers.box_head import BoxHead
from keras_maskrcnn.layers.detection_layer import NMS_RULES, DetectionLayer
from keras_maskrcnn.layers.detection_target_layer import DetectionTargetLayer
from keras_maskrcnn.layers.norms import NORMS
from keras_maskrcnn.layers.roi_lists import RoIList, RoILists
from keras_maskrcnn.losses import Total, box_loss, class_loss
from keras_maskrcnn.parts import Part, Registry
from keras_maskrcnn.poolers.base import RoIPooler

Tensor = Any
# (pooler, boxes, their images) to features of RoIs.
Pool = Callable[[RoIPooler, Tensor, Tensor], Tensor]

BOXES = Registry("box")


@dataclasses.dataclass(frozen=True)
class Sampled:
    """RoIs of all images that enter the losses, in one list without padding.

    Args:
        rois: float32 `[S, 4]`.
        owners: int32 `[S]`, the image of each.
        classes: int32 `[S]`: 0..K-1, `K` background.
        matched: int32 `[S]`, the object of each.
        features: `[S, p, p, C]`.
        real: bool `[S]`, which of them are no padding; `None`: all.
    """

    rois: Tensor
    owners: Tensor
    classes: Tensor
    matched: Tensor
    features: Tensor
    real: Tensor | None = None

    def with_objects(self, lists: RoILists, box: Box) -> Sampled:
        """Those that are no background, of what `box` sampled."""
        # As floats: int32 is compared on the host.
        objects = ops.cast(self.classes, "float32") < box.num_classes
        if self.real is not None:
            objects = ops.logical_and(objects, self.real)
        kept = lists.filter(self.rois, objects, box.max_positives, box.samples)
        rows = (self.owners, self.classes, self.matched, self.features)
        owners, classes, matched, features = (kept.take_rows(values) for values in rows)
        return Sampled(kept.boxes, owners, classes, matched, features, kept.real)


@BOXES.register("box")
class Box(Part):
    """One stage of classification and box refinement (Fast R-CNN; Mask R-CNN section 3).

    Args:
        samples, positive_fraction: RoIs that enter the head losses per image, and the share of
            positives among them.
        iou: a proposal is positive from this IoU with an object on.
        crowd_overlap: as of `RPN`, for negative RoIs.
        pool_size: bins per side of the pooled grid.
        pooler: see `poolers.make_pooler`; `None` for the model's.
        convs, fcs, dim: 3x3 convolutions, fully connected layers, and units of the latter; with
            `fcs=0` the features are averaged.
        norm: of the convolutions, `None` or one of `layers.norms.NORMS`.
        class_agnostic: boxes are refined alike for all classes.
        weights: scale of the four box deltas.
        beta: where smooth L1 turns from quadratic to linear; 0 is L1.
        score_threshold, nms_iou, max_detections: which detections are kept.
        one_class_per_roi: a RoI may become an object of its best class only (Matterport).
        nms, soft_sigma: how overlapping detections are told apart; see `DetectionLayer`.
    """

    loss_names: tuple[str, ...] = ("class_loss", "box_loss")

    def __init__(
        self,
        *,
        samples: int = 512,
        positive_fraction: float = 0.25,
        iou: float = 0.5,
        crowd_overlap: float = 0.7,
        pool_size: int = 7,
        pooler: Any = None,
        convs: int = 0,
        fcs: int = 2,
        dim: int = 1024,
        norm: str | None = None,
        class_agnostic: bool = False,
        weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0),
        beta: float = 1.0 / 9.0,
        score_threshold: float = 0.05,
        nms_iou: float = 0.5,
        max_detections: int = 100,
        one_class_per_roi: bool = False,
        nms: str = "per_class",
        soft_sigma: float = 0.5,
    ) -> None:
        one_of("norm", norm, (None, *NORMS))
        one_of("nms", nms, NMS_RULES)
        if not soft_sigma > 0:
            raise ValueError(f"soft_sigma must be above 0. Received: soft_sigma={soft_sigma!r}")
        fraction(
            positive_fraction=positive_fraction,
            iou=iou,
            score_threshold=score_threshold,
            nms_iou=nms_iou,
        )
        at_least(0, convs=convs, fcs=fcs, beta=beta, crowd_overlap=crowd_overlap)
        at_least(1, samples=samples, pool_size=pool_size, dim=dim, max_detections=max_detections)
        self.samples, self.positive_fraction = samples, positive_fraction
        self.iou, self.crowd_overlap = iou, crowd_overlap
        self.pool_size, self._pooler_choice = pool_size, pooler
        self.convs, self.fcs, self.dim, self.norm = convs, fcs, dim, norm
        self.class_agnostic = class_agnostic
        self.weights, self.beta = weights, beta
        self.score_threshold, self.nms_iou = score_threshold, nms_iou
        self.max_detections, self.one_class_per_roi = max_detections, one_class_per_roi
        self.nms, self.soft_sigma = nms, soft_sigma

    def build(self, context: HeadContext) -> None:
        """Makes the layers."""
        self.num_classes = context.num_classes
        self.targets = DetectionTargetLayer(
            context.num_classes,
            self.samples,
            self.positive_fraction,
            self.iou,
            self.weights,
            self.crowd_overlap,
            context.seed,
            name="detection_targets",
        )
        self.pooler = context.make_pooler(self._pooler_choice, self.pool_size, "box_align")
        self.detections = DetectionLayer(
            self.score_threshold,
            self.nms_iou,
            self.max_detections,
            self.final_weights,
            self.one_class_per_roi,
            self.nms,
            self.soft_sigma,
            name="detections",
        )
        self.make_layers(context)

    @property
    def max_positives(self) -> int:
        """Of the RoIs sampled in an image, how many may have an object; these come first."""
        return int(self.samples * self.positive_fraction)

    @property
    def final_weights(self) -> tuple[float, float, float, float]:
        """Scale of the deltas that lead to the detections."""
        return self.weights

    def make_layers(self, context: HeadContext) -> None:
        """Makes what looks at RoIs."""
        self.head = self.make_head(context, "box_head")

    def make_head(self, context: HeadContext, name: str) -> BoxHead:
        """One stage's layer."""
        return BoxHead(
            context.num_classes,
            self.convs,
            self.fcs,
            self.dim,
            self.norm,
            self.class_agnostic,
            dtype=context.dtype,
            name=name,
        )

    def detect(self, pool: Pool, rois: RoIList, limits: Tensor) -> dict[str, Tensor]:
        """From proposals to detections; see `DetectionLayer`.

        Args:
            pool: features of RoIs.
            rois: the proposals.
            limits: int32 `[B, 2]`, how far boxes may reach.
        """
        class_logits, deltas = (
            rois.restore(values) for values in self.head(pool(self.pooler, rois.boxes, rois.owners))
        )
        return self.detections(rois.slot_boxes, rois.chosen, class_logits, deltas, limits)

    def classify(self, pool: Pool, rois: RoIList) -> Tensor:
        """Probabilities `[B, D, K]` of the classes of given boxes, which stay where they are."""
        class_logits, _ = self.head(pool(self.pooler, rois.boxes, rois.owners))
        return rois.restore(ops.softmax(class_logits, axis=-1)[..., : self.num_classes])

    def train(
        self,
        pool: Pool,
        lists: RoILists,
        rois: Tensor,
        valid: Tensor,
        boxes: Tensor,
        classes: Tensor,
        crowds: Tensor,
        limits: Tensor,
    ) -> tuple[dict[str, Any], Sampled]:
        """What the losses compare, and the RoIs on which the other heads train.

        Args:
            pool: features of RoIs.
            lists: of the model.
            rois, valid: proposals.
            boxes, classes, crowds: ground truth.
            limits: int32 `[B, 2]`, how far boxes may reach.
        """
        sampled, roi_classes, target_deltas, matched = self.targets(
            rois, valid, boxes, classes, crowds
        )
        real = lists.select(sampled, ops.cast(roi_classes, "float32") >= 0)
        roi_classes, target_deltas, matched = (
            real.take(values) for values in (roi_classes, target_deltas, matched)
        )
        features = pool(self.pooler, real.boxes, real.owners)
        class_logits, deltas = self.head(features)
        outputs = {
            "class_logits": class_logits,  # [S, K + 1]
            "deltas": deltas,  # [S, K, 4], or [S, 1, 4]
            "classes": roi_classes,
            "target_deltas": target_deltas,
        }
        return outputs, Sampled(real.boxes, real.owners, roi_classes, matched, features, real.real)

    def losses(self, outputs: Mapping[str, Any], total: Total) -> dict[str, Tensor]:
        """Scalars under `loss_names`; see `RoIHead.losses`."""
        return self.stage_losses(outputs, total)

    def stage_losses(self, outputs: Mapping[str, Tensor], total: Total) -> dict[str, Tensor]:
        """Losses of what one stage says."""
        return {
            "class_loss": class_loss(outputs["class_logits"], outputs["classes"], total),
            "box_loss": box_loss(
                outputs["deltas"],
                outputs["classes"],
                outputs["target_deltas"],
                self.num_classes,
                self.beta,
                total,
            ),
        }
