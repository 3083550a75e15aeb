"""The layers of one Mask R-CNN and the two ways through them.

Legend: `B` images, `A` anchors, `R` proposals, `S` sampled RoIs, `P` RoIs with an object,
`D` detections, `N` ground-truth objects, `K` classes, `M` mask side.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_maskrcnn.layers.anchor_layer import AnchorLayer
from keras_maskrcnn.layers.anchor_target_layer import AnchorTargetLayer
from keras_maskrcnn.layers.box_head import BoxHead
from keras_maskrcnn.layers.box_limits import BoxLimits
from keras_maskrcnn.layers.crop_and_resize import CropAndResizeLayer
from keras_maskrcnn.layers.detection_layer import DetectionLayer
from keras_maskrcnn.layers.detection_target_layer import DetectionTargetLayer
from keras_maskrcnn.layers.keypoint_decode_layer import KeypointDecodeLayer
from keras_maskrcnn.layers.keypoint_head import KeypointHead
from keras_maskrcnn.layers.mask_head import MaskHead
from keras_maskrcnn.layers.mask_target_layer import KeypointTargetLayer, MaskTargetLayer
from keras_maskrcnn.layers.preprocessing import ImageNormalization
from keras_maskrcnn.layers.proposal_layer import ProposalLayer
from keras_maskrcnn.layers.roi_align import RoIAlignLayer
from keras_maskrcnn.layers.roi_selection import (
    AtLeastOne,
    RestoreSlots,
    SameRows,
    SelectRoIs,
    TakeSlots,
)
from keras_maskrcnn.layers.rpn_head import RPNHead
from keras_maskrcnn.models.backbones.resnet import (
    build_resnet,
    build_resnet_stage5,
    resnet_channels,
)
from keras_maskrcnn.models.config import MaskRCNNConfig
from keras_maskrcnn.models.feature_pyramid import build_feature_pyramid
from keras_maskrcnn.ops.boxes import end_after_last_pixel, end_on_last_pixel

Tensor = Any

MASK_CROP_SIDE = 112


class Network:
    """Builds the layers once and walks them for training and for inference.

    The walk up to the proposals, and every head, is written once; the two graphs differ in where
    the RoIs come from: sampled with their targets, or refined into detections.

    Args:
        config: what to build.
    """

    def __init__(self, config: MaskRCNNConfig) -> None:
        self.config = config
        c = config
        residual: dict[str, Any] = {
            "stride_in_1x1": c.stride_in_1x1,
            "norm": c.norm,
            "norm_epsilon": c.norm_epsilon,
            "freeze_at": c.freeze_at,
        }
        self.normalization = ImageNormalization(c.preprocessing, name="normalization")
        if c.neck == "fpn":
            self.backbone = build_resnet(c.backbone, stem_pool=c.stem_pool, **residual)
            self.pyramid = build_feature_pyramid(
                tuple(resnet_channels(c.backbone).values()),
                channels=c.pyramid_channels,
                norm=c.head_norm,
                norm_epsilon=c.norm_epsilon,
            )
            self.stage5 = None
            anchor_strides: tuple[int, ...] = (4, 8, 16, 32, 64)
            roi_strides: tuple[int, ...] = anchor_strides[:-1]
            rpn_channels = c.pyramid_channels
        else:
            self.backbone = build_resnet(
                c.backbone, outputs=("C4",), stem_pool=c.stem_pool, **residual
            )
            self.pyramid = None
            self.stage5 = build_resnet_stage5(c.backbone, **residual)
            anchor_strides, roi_strides = (16,), (16,)
            rpn_channels = resnet_channels(c.backbone)["C4"]
        self.anchors = AnchorLayer(
            c.anchor_sizes,
            c.anchor_ratios,
            anchor_strides,
            c.anchor_offset,
            c.anchor_style,
            name="anchors",
        )
        self.rpn_head = RPNHead(
            self.anchors.anchors_per_cell,
            c.rpn_convs,
            c.rpn_channels or rpn_channels,
            name="rpn_head",
        )
        self.box_limits = BoxLimits(c.box_style, name="box_limits")
        self.proposals = ProposalLayer(
            c.proposals_pre_nms_train,
            c.proposals_pre_nms_test,
            c.proposals_train,
            c.proposals_test,
            c.proposals_nms_iou,
            c.rpn_box_weights,
            c.proposals_per_level,
            name="proposals",
        )
        self.anchor_targets = AnchorTargetLayer(
            c.rpn_iou_positive,
            c.rpn_iou_negative,
            c.rpn_samples,
            c.rpn_positive_fraction,
            c.rpn_box_weights,
            c.crowd_overlap,
            c.match_zero_iou,
            c.seed,
            name="anchor_targets",
        )
        self.detection_targets = DetectionTargetLayer(
            c.num_classes,
            c.roi_samples,
            c.roi_positive_fraction,
            c.roi_iou,
            c.box_weights,
            c.crowd_overlap,
            c.seed + 1,
            name="detection_targets",
        )

        def align(size: int, name: str) -> RoIAlignLayer:
            if c.roi_align_method == "crop_and_resize":
                return CropAndResizeLayer(size, roi_strides, name=name)
            return RoIAlignLayer(
                size, roi_strides, c.roi_align_samples, c.roi_align_aligned, name=name
            )

        self.box_align = align(c.box_pool_size, "box_align")
        self.box_head = BoxHead(
            c.num_classes,
            c.box_head_convs,
            c.box_head_fcs,
            c.box_head_dim,
            c.head_norm,
            name="box_head",
        )
        self.detections = DetectionLayer(
            c.score_threshold,
            c.nms_iou,
            c.max_detections,
            c.box_weights,
            c.one_class_per_roi,
            name="detections",
        )
        self.at_least_one = AtLeastOne(name="at_least_one")
        self.same_rows = SameRows(name="same_rows")
        self.select = SelectRoIs(name="select_rois")
        self.take = TakeSlots(name="take_slots")
        self.restore = RestoreSlots(name="restore_slots")
        if c.predict_masks:
            self.mask_align = align(c.mask_pool_size, "mask_align")
            self.mask_head = MaskHead(
                c.num_classes, c.mask_head_convs, c.mask_head_dim, c.head_norm, name="mask_head"
            )
        if c.num_keypoints:
            self.keypoint_align = align(c.keypoint_pool_size, "keypoint_align")
            self.keypoint_head = KeypointHead(c.num_keypoints, name="keypoint_head")
            self.decode_keypoints = KeypointDecodeLayer(c.keypoint_scores, name="decode_keypoints")
            self.keypoint_targets = KeypointTargetLayer(
                self.keypoint_side, c.keypoint_shift, name="keypoint_targets"
            )

    @property
    def mask_side(self) -> int:
        """`M`: the mask head doubles the side of its pooled (for C4: halved by res5) features."""
        return self.config.mask_pool_size * 2 // (1 if self.stage5 is None else 2)

    def to_inner(self, boxes: Tensor) -> Tensor:
        """Continuous boxes in the style that the network computes with."""
        return boxes if self.config.box_style == "continuous" else end_on_last_pixel(boxes)

    def to_outer(self, boxes: Tensor) -> Tensor:
        """Inverse of `to_inner`."""
        return boxes if self.config.box_style == "continuous" else end_after_last_pixel(boxes)

    @property
    def keypoint_side(self) -> int:
        """Side of the keypoint head's maps: four times that of its (for C4: halved) features."""
        return self.config.keypoint_pool_size * 4 // (1 if self.stage5 is None else 2)

    def features(self, images: Tensor, image_sizes: Tensor) -> list[Tensor]:
        """Feature maps, finest first; the RPN reads all, the heads all but P6."""
        x = self.backbone(self.normalization(images, image_sizes))
        return list(self.pyramid(x).values()) if self.pyramid is not None else [x["C4"]]

    def pool(
        self, align: RoIAlignLayer, features: list[Tensor], rois: Tensor, owners: Tensor
    ) -> Tensor:
        """Features `[P, ...]` of RoIs `[P, 4]` in the pictures `[P]`; for C4 models after res5."""
        pooled = align(features[: len(align.strides)], rois, owners)
        if self.stage5 is None:
            return pooled
        return self.same_rows(self.stage5(self.at_least_one(pooled)), pooled)

    def rpn(self, images: Tensor, features: list[Tensor], image_sizes: Tensor, training: bool):
        """Objectness, deltas and anchors per level, and the proposals they make."""
        logits, deltas = self.rpn_head(features)
        anchors = [self.to_inner(boxes) for boxes in self.anchors(images, features)]
        limits, _ = self.box_limits(images, image_sizes)
        found = self.proposals(logits, deltas, anchors, limits, training=training)
        return logits, deltas, anchors, found

    def inference(self, images: Tensor, image_sizes: Tensor) -> dict[str, Tensor]:
        """From pictures to detections in network-input pixels."""
        features = self.features(images, image_sizes)
        *_, (rois, _, valid) = self.rpn(images, features, image_sizes, training=False)
        boxes, owners, slots = self.select(rois, valid)
        class_logits, deltas = (
            self.restore(values, slots, valid)
            for values in self.box_head(self.pool(self.box_align, features, boxes, owners))
        )
        _, limits = self.box_limits(images, image_sizes)
        found = self.detections(rois, valid, class_logits, deltas, limits)
        kept = found["classes"] >= 0
        # Masks and keypoints are read off the refined boxes (section 3.1, Inference).
        boxes, owners, slots = self.select(found["boxes"], kept)
        outer = self.to_outer(boxes)
        if self.config.predict_masks:
            classes = self.take(found["classes"], slots)
            logits = self.mask_head(self.pool(self.mask_align, features, boxes, owners), classes)
            found["masks"] = self.restore(ops.sigmoid(logits), slots, kept)
        if self.config.num_keypoints:
            maps = self.keypoint_head(self.pool(self.keypoint_align, features, boxes, owners))
            found["keypoints"] = self.restore(self.decode_keypoints(maps, outer), slots, kept)
        if outer is not boxes:
            found["boxes"] = self.restore(outer, slots, kept)
        return found

    def training(
        self, images: Tensor, targets: dict[str, Tensor], whole_masks: bool
    ) -> dict[str, Tensor]:
        """From pictures and ground truth to what the losses compare."""
        sizes, classes = targets["image_sizes"], targets["classes"]
        boxes, crowds = (self.to_inner(targets[k]) for k in ("boxes", "crowd_boxes"))
        features = self.features(images, sizes)
        logits, deltas, anchors, (rois, _, valid) = self.rpn(images, features, sizes, training=True)
        labels, anchor_deltas = self.anchor_targets(
            ops.concatenate(anchors, axis=1), boxes, classes, crowds
        )
        rois, roi_classes, roi_deltas, matched = self.detection_targets(
            rois, valid, boxes, classes, crowds
        )
        # Padding goes: it would enter the statistics of a norm that trains.
        rois, owners, slots = self.select(rois, roi_classes >= 0)
        roi_classes, roi_deltas, matched = (
            self.take(values, slots) for values in (roi_classes, roi_deltas, matched)
        )
        roi_features = self.pool(self.box_align, features, rois, owners)
        class_logits, box_deltas = self.box_head(roi_features)
        outputs = {
            "rpn_logits": ops.concatenate(logits, axis=1),  # [B, A]
            "rpn_deltas": ops.concatenate(deltas, axis=1),  # [B, A, 4]
            "rpn_labels": labels,
            "rpn_target_deltas": anchor_deltas,
            "class_logits": class_logits,  # [RoIs of all pictures, K + 1]
            "box_deltas": box_deltas,  # [RoIs of all pictures, K, 4]
            "roi_classes": roi_classes,
            "roi_target_deltas": roi_deltas,
        }
        # Those with an object, out of one list for all pictures.
        positive = ops.expand_dims(roi_classes < self.config.num_classes, 0)
        own_rois, _, rows = self.select(ops.expand_dims(rois, 0), positive)

        def own(values: Tensor) -> Tensor:
            return self.take(ops.expand_dims(values, 0), rows)

        owners, own_classes, own_objects = own(owners), own(roi_classes), own(matched)
        frames = self.to_outer(own_rois)
        if self.config.predict_masks:
            if self.stage5 is None:
                pooled = self.pool(self.mask_align, features, own_rois, owners)
            else:  # res5 has seen these RoIs already (section 3, figure 4 left)
                pooled = own(roi_features)
            make_targets = MaskTargetLayer(
                self.mask_side,
                self.config.mask_targets == "binary",
                whole_masks,
                self.config.roi_align_aligned,
                name="mask_targets",
            )
            outputs["mask_logits"] = self.mask_head(pooled, own_classes)  # [P, M, M]
            outputs["mask_targets"] = make_targets(
                frames, owners, own_objects, targets["masks"], targets["boxes"]
            )
        if self.config.num_keypoints:
            pooled = self.pool(self.keypoint_align, features, own_rois, owners)
            outputs["keypoint_logits"] = self.keypoint_head(pooled)
            outputs["keypoint_cells"], outputs["keypoint_valid"] = self.keypoint_targets(
                frames, owners, own_objects, targets["keypoints"], self._scale(targets)
            )
        return outputs

    def _scale(self, targets: dict[str, Tensor]) -> Tensor | None:
        """Pixels of the input per pixel on disk, x and y `[B, 2]`, where keypoints are shifted."""
        if not self.config.keypoint_shift:
            return None
        sizes, originals = (
            ops.cast(targets[key], "float32") for key in ("image_sizes", "original_sizes")
        )
        return ops.flip(sizes / originals, axis=1)

    def training_graph(self, whole_masks: bool = False) -> keras.Model:
        """The training walk as a Functional model over `images` and the targets it reads.

        Args:
            whole_masks: targets hold masks of whole pictures `[B, N, H, W]` rather than crops.
        """
        shapes = {
            "image_sizes": ((2,), "int32"),
            "boxes": ((None, 4), "float32"),
            "classes": ((None,), "int32"),
            "crowd_boxes": ((None, 4), "float32"),
        }
        if self.config.predict_masks:
            side = None if whole_masks else MASK_CROP_SIDE
            shapes["masks"] = ((None, side, side), "uint8")
        if self.config.num_keypoints:
            shapes["keypoints"] = ((None, self.config.num_keypoints, 3), "float32")
            if self.config.keypoint_shift:
                shapes["original_sizes"] = ((2,), "int32")
        images = keras.Input((None, None, 3), name="images")
        targets = {k: keras.Input(s, dtype=d, name=k) for k, (s, d) in shapes.items()}
        outputs = self.training(images, targets, whole_masks)
        return keras.Model({"images": images, **targets}, outputs, name="training")
