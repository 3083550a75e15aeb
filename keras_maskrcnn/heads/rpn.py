"""The region proposal network: anchors, proposals, targets, losses.

Legend: `B` images, `A` anchors, `R` proposals.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from keras import ops

from keras_maskrcnn import losses
from keras_maskrcnn.checks import at_least, fraction, one_of
from keras_maskrcnn.layers.anchor_layer import AnchorLayer
from keras_maskrcnn.layers.anchor_target_layer import AnchorTargetLayer
from keras_maskrcnn.layers.box_limits import Coordinates
from keras_maskrcnn.layers.proposal_layer import ProposalLayer
from keras_maskrcnn.layers.rpn_head import RPNHead
from keras_maskrcnn.parts import Part, Registry

Tensor = Any

RPNS = Registry("rpn")


@dataclasses.dataclass(frozen=True)
class Proposed:
    """What the RPN says: logits, deltas and anchors level by level, and proposals."""

    logits: list[Tensor]  # [B, A_l]
    deltas: list[Tensor]  # [B, A_l, 4]
    anchors: list[Tensor]  # [1, A_l, 4]
    boxes: Tensor  # [B, R, 4]
    valid: Tensor  # [B, R]


@RPNS.register("rpn")
class RPN(Part):
    """Faster R-CNN section 3 on the levels of a pyramid (FPN section 4.1), or on one map.

    Args:
        anchor_sizes: sizes per level (square root of the area, pixels); `None` for 8 times each
            level's stride: 32 to 512 on P2..P6.
        anchor_ratios: heights over widths.
        anchor_offset: 0 puts the first anchor's centre on the picture's corner, as every published
            model does; 0.5 on the centre of the first cell.
        anchor_style: `"exact"`, or `"torchvision"`: cell anchors rounded and ratio-major, strides
            taken as padded size // grid size.
        convs: 3x3 convolutions before the two outputs (2 in torchvision's v2 models).
        channels: theirs; `None` for as many as the features have.
        iou_positive, iou_negative: anchor labelling thresholds.
        match_zero_iou: whether an object that no anchor overlaps turns every anchor without overlap
            positive, as torchvision and detectron2 do.
        crowd_overlap: a negative anchor with this share of its area in a crowd region is ignored,
            as in Detectron. torchvision's and detectron2's recipes drop crowd regions and so learn
            them as background; a share above 1 does that. Presets keep the default: it changes what
            a model learns, not what its weights mean.
        samples, positive_fraction: anchors that enter the losses per image, and the share of
            positives among them. The losses are divided by `samples` for each image, as in
            detectron2; torchvision divides by the count really sampled, which is less only where
            there are fewer candidates.
        pre_nms_train, pre_nms_test: best anchors per level before NMS.
        proposals_train, proposals_test: proposals per image after NMS.
        nms_iou: NMS threshold.
        per_level: take the best anchors, and suppress, level by level; or else over all levels
            together (Matterport).
        weights: scale of the four deltas.
        beta: where smooth L1 turns from quadratic to linear; 0 is L1.
    """

    loss_names = ("rpn_class_loss", "rpn_box_loss")

    def __init__(
        self,
        *,
        anchor_sizes: tuple[tuple[float, ...], ...] | None = None,
        anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0),
        anchor_offset: float = 0.0,
        anchor_style: str = "exact",
        convs: int = 1,
        channels: int | None = None,
        iou_positive: float = 0.7,
        iou_negative: float = 0.3,
        match_zero_iou: bool = False,
        crowd_overlap: float = 0.7,
        samples: int = 256,
        positive_fraction: float = 0.5,
        pre_nms_train: int = 2000,
        pre_nms_test: int = 1000,
        proposals_train: int = 2000,
        proposals_test: int = 1000,
        nms_iou: float = 0.7,
        per_level: bool = True,
        weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0),
        beta: float = 1.0 / 9.0,
    ) -> None:
        one_of("anchor_style", anchor_style, ("exact", "torchvision"))
        fraction(
            iou_positive=iou_positive,
            iou_negative=iou_negative,
            positive_fraction=positive_fraction,
            nms_iou=nms_iou,
        )
        at_least(
            1,
            convs=convs,
            channels=1 if channels is None else channels,
            samples=samples,
            pre_nms_train=pre_nms_train,
            pre_nms_test=pre_nms_test,
            proposals_train=proposals_train,
            proposals_test=proposals_test,
        )
        at_least(0, beta=beta, crowd_overlap=crowd_overlap)
        self.anchor_sizes, self.anchor_ratios = anchor_sizes, anchor_ratios
        self.anchor_offset, self.anchor_style = anchor_offset, anchor_style
        self.convs, self.channels = convs, channels
        self.iou_positive, self.iou_negative = iou_positive, iou_negative
        self.match_zero_iou, self.crowd_overlap = match_zero_iou, crowd_overlap
        self.samples, self.positive_fraction = samples, positive_fraction
        self.pre_nms_train, self.pre_nms_test = pre_nms_train, pre_nms_test
        self.proposals_train, self.proposals_test = proposals_train, proposals_test
        self.nms_iou, self.per_level = nms_iou, per_level
        self.weights, self.beta = weights, beta

    def build(self, strides: tuple[int, ...], channels: int, seed: int, dtype: Any) -> None:
        """Makes the layers.

        Args:
            strides: of the maps.
            channels: of the maps.
            seed: of the sampler.
            dtype: dtype policy.
        """
        self.anchors = AnchorLayer(
            self.anchor_sizes or tuple((8 * stride,) for stride in strides),
            self.anchor_ratios,
            strides,
            self.anchor_offset,
            self.anchor_style,
            name="anchors",
        )
        self.head = RPNHead(
            self.anchors.anchors_per_cell,
            self.convs,
            self.channels or channels,
            dtype=dtype,
            name="rpn_head",
        )
        self.proposals = ProposalLayer(
            self.pre_nms_train,
            self.pre_nms_test,
            self.proposals_train,
            self.proposals_test,
            self.nms_iou,
            self.weights,
            self.per_level,
            name="proposals",
        )
        self.anchor_targets = AnchorTargetLayer(
            self.iou_positive,
            self.iou_negative,
            self.samples,
            self.positive_fraction,
            self.weights,
            self.crowd_overlap,
            self.match_zero_iou,
            seed,
            name="anchor_targets",
        )

    def propose(
        self,
        images: Tensor,
        maps: list[Tensor],
        limits: Tensor,
        coordinates: Coordinates,
        *,
        training: bool,
    ) -> Proposed:
        """Where objects may be.

        Args:
            images: `[B, H, W, 3]`; only their size is read.
            maps: feature maps.
            limits: int32 `[B, 2]`, how far proposals may reach.
            coordinates: of the model's boxes.
            training: how many proposals are made.
        """
        logits, deltas = self.head(maps)
        anchors = [coordinates.to_inner(boxes) for boxes in self.anchors(images, maps)]
        boxes, _, valid = self.proposals(logits, deltas, anchors, limits, training=training)
        return Proposed(logits, deltas, anchors, boxes, valid)

    def training_outputs(
        self, proposed: Proposed, boxes: Tensor, classes: Tensor, crowds: Tensor
    ) -> dict[str, Tensor]:
        """What the losses compare: predictions and targets of all levels."""
        labels, targets = self.anchor_targets(
            ops.concatenate(proposed.anchors, axis=1), boxes, classes, crowds
        )
        return {
            "logits": ops.concatenate(proposed.logits, axis=1),  # [B, A]
            "deltas": ops.concatenate(proposed.deltas, axis=1),  # [B, A, 4]
            "labels": labels,
            "target_deltas": targets,
        }

    def losses(self, outputs: Mapping[str, Tensor], total: losses.Total) -> dict[str, Tensor]:
        """Scalars under `loss_names`; see `RoIHead.losses`."""
        images = total(ops.cast(ops.shape(outputs["logits"])[0], "float32"))
        parts = losses.rpn_losses(
            outputs["logits"],
            outputs["deltas"],
            outputs["labels"],
            outputs["target_deltas"],
            self.samples * images,
            self.beta,
        )
        return dict(zip(self.loss_names, parts, strict=True))
