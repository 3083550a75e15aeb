"""Every number that makes a model a Mask R-CNN, in one place."""

from __future__ import annotations

import dataclasses
from typing import Any

BACKBONES = ("resnet18", "resnet34", "resnet50", "resnet101", "resnext101_32x8d")
NORMS = ("frozen", "frozen_statistics", "batch", "sync_batch", "group")
PREPROCESSING = ("torch", "caffe", "tf", "matterport")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaskRCNNConfig:
    """Architecture, training targets and thresholds of one model.

    Defaults are the paper's (He et al. 2017) in the form of its FPN variant; a preset for foreign
    weights binds other values. Pixels are pixels of the padded network input.

    Args:
        num_classes: foreground classes `K`; background is not counted.
        class_names: `K` names, or empty for `class_0 ...`.
        backbone: one of `BACKBONES`.
        neck: `"fpn"` (P2..P6) or `"c4"` (one map at stride 16, res5 in the box head).
        stride_in_1x1: stage strides in the first 1x1 convolution (MSRA, keras.applications) rather
            than in the 3x3 (torchvision).
        stem_pool: padding of the stem's max pool: `"symmetric"`, or `"same"`: TensorFlow's, of an
            even side only at the bottom and right (Matterport).
        norm: normalisation of the backbone. `"frozen"`: statistics and affine constant;
            `"frozen_statistics"`: affine trains; `"batch"`, `"sync_batch"`, `"group"`: all trains.
        norm_epsilon: added to the variance.
        head_norm: normalisation in neck and heads (`None` or `"batch"`/`"frozen_statistics"`;
            torchvision's v2 models).
        freeze_at: how many of stem, res2, res3, ... do not train. 2 is the reference's choice for
            ImageNet weights; a model without pre-trained weights wants 0. Batch norm of a stage
            that does not train keeps and uses its stored statistics, as in detectron2. torchvision
            stops the gradients alone: in training its v2 models go on to normalise such stages by
            each batch, and to change their statistics.
        preprocessing: `"torch"`: RGB / 255, ImageNet mean and deviation; `"caffe"`: BGR minus mean;
            `"tf"`: x / 127.5 - 1; `"matterport"`: RGB minus mean, padding black rather than zero.
        min_size, max_size: `predict` resizes a picture so that the shorter side is `min_size` and
            the longer side at most `max_size`.
        size_divisor: batches are padded to a multiple of it.
        pyramid_channels: channels of P2..P6.
        anchor_sizes: sizes per level (square root of the area, pixels).
        anchor_ratios: heights over widths.
        anchor_offset: 0 puts the first anchor's centre on the picture's corner, as every published
            model does; 0.5 on the centre of the first cell.
        anchor_style: `"exact"`, or `"torchvision"`: cell anchors rounded and ratio-major, strides
            taken as padded size // grid size.
        box_style: `"continuous"`, or `"matterport"`: inside the network boxes end on their last
            pixel (x2 - 1), and proposals may reach into the padding. Results and ground truth are
            continuous either way.
        rpn_convs: 3x3 convolutions of the RPN head (2 in torchvision's v2 models).
        rpn_channels: theirs; `None` for as many as the features have.
        rpn_iou_positive, rpn_iou_negative: anchor labelling thresholds.
        match_zero_iou: whether an object that no anchor overlaps turns every anchor without overlap
            positive, as torchvision and detectron2 do.
        crowd_overlap: a negative anchor or RoI with this share of its area in a crowd region is
            ignored, as in Detectron. torchvision's and detectron2's recipes drop crowd regions and
            so learn them as background; a share above 1 does that. Presets keep the default: it
            changes what a model learns, not what its weights mean.
        rpn_samples, rpn_positive_fraction: anchors that enter the RPN losses per image. The losses
            are divided by `rpn_samples` for each image, as in detectron2; torchvision divides by
            the count really sampled, which is less only where there are fewer candidates.
        proposals_pre_nms_train, proposals_pre_nms_test: best anchors per level before NMS.
        proposals_train, proposals_test: proposals per image after NMS.
        proposals_nms_iou: NMS threshold of the RPN.
        proposals_per_level: take the best anchors, and suppress, level by level; or else over all
            levels together (Matterport).
        roi_samples, roi_positive_fraction, roi_iou: RoIs that enter the head losses per image.
        roi_align_method: `"roi_align"`, or `"crop_and_resize"`: one reading per bin, from the box's
            edge to its edge, and levels rounded to the nearest (Matterport).
        roi_align_aligned, roi_align_samples: RoIAlign's half-pixel shift, and samples per bin and
            axis (0: adaptive).
        box_pool_size, mask_pool_size, keypoint_pool_size: RoIAlign output sides.
        box_head_convs, box_head_fcs, box_head_dim: 3x3 convolutions and fully connected layers of
            the box head.
        rpn_box_weights, box_weights: scale of the four box deltas.
        rpn_box_beta, box_beta: where smooth L1 of the RPN's and of the heads' boxes turns from
            quadratic to linear; 0 is L1.
        mask_head_convs, mask_head_dim: 3x3 convolutions of the mask head and their channels.
        mask_targets: `"soft"` (torchvision) or `"binary"` (detectron2: thresholded at .5).
        num_keypoints: 0 for no keypoint head.
        keypoint_shift: from the keypoints that the head knows to continuous ones, in pixels of the
            picture as on disk: 0 where it was trained on continuous ones (detectron2), .5 where it
            was trained on COCO's numbers as they are, which count the first pixel's centre as 0
            (torchvision). Data and results are continuous either way.
        keypoint_scores: of predictions: the `"logit"` at the heat map's peak (torchvision), or its
            softmax `"probability"` (detectron2).
        predict_masks: whether the model has a mask head.
        score_threshold, nms_iou, max_detections: which detections are kept.
        one_class_per_roi: a RoI may become an object of its best class only (Matterport).
        weight_decay: L2 penalty coefficient; the loss grows by half of it times the squared sum of
            every trained kernel. As in Detectron, biases and norms do not decay; detectron2's
            recipe decays biases too, torchvision's all that trains. As a part of the loss it is
            within the norm at which an optimizer clips, where PyTorch's SGD adds it afterwards.
        seed: of the samplers.

    Raises:
        ValueError: when a value is not one of those listed.
    """

    num_classes: int
    class_names: tuple[str, ...] = ()
    backbone: str = "resnet50"
    neck: str = "fpn"
    stride_in_1x1: bool = False
    stem_pool: str = "symmetric"
    norm: str = "frozen"
    norm_epsilon: float = 1e-5
    head_norm: str | None = None
    freeze_at: int = 2
    preprocessing: str = "torch"
    min_size: int = 800
    max_size: int = 1333
    size_divisor: int = 32
    pyramid_channels: int = 256
    anchor_sizes: tuple[tuple[float, ...], ...] = ((32,), (64,), (128,), (256,), (512,))
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    anchor_offset: float = 0.0
    anchor_style: str = "exact"
    box_style: str = "continuous"
    rpn_convs: int = 1
    rpn_channels: int | None = None
    rpn_iou_positive: float = 0.7
    rpn_iou_negative: float = 0.3
    match_zero_iou: bool = False
    crowd_overlap: float = 0.7
    rpn_samples: int = 256
    rpn_positive_fraction: float = 0.5
    proposals_pre_nms_train: int = 2000
    proposals_pre_nms_test: int = 1000
    proposals_train: int = 2000
    proposals_test: int = 1000
    proposals_nms_iou: float = 0.7
    proposals_per_level: bool = True
    roi_samples: int = 512
    roi_positive_fraction: float = 0.25
    roi_iou: float = 0.5
    roi_align_method: str = "roi_align"
    roi_align_aligned: bool = True
    roi_align_samples: int = 2
    box_pool_size: int = 7
    mask_pool_size: int = 14
    keypoint_pool_size: int = 14
    box_head_convs: int = 0
    box_head_fcs: int = 2
    box_head_dim: int = 1024
    rpn_box_weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    box_weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)
    rpn_box_beta: float = 1.0 / 9.0
    box_beta: float = 1.0 / 9.0
    mask_head_convs: int = 4
    mask_head_dim: int = 256
    mask_targets: str = "soft"
    num_keypoints: int = 0
    keypoint_shift: float = 0.0
    keypoint_scores: str = "logit"
    predict_masks: bool = True
    score_threshold: float = 0.05
    nms_iou: float = 0.5
    max_detections: int = 100
    one_class_per_roi: bool = False
    weight_decay: float = 1e-4
    seed: int = 0

    def __post_init__(self) -> None:
        choices = {
            "backbone": BACKBONES,
            "neck": ("fpn", "c4"),
            "norm": NORMS,
            "head_norm": (None, *NORMS),
            "preprocessing": PREPROCESSING,
            "stem_pool": ("symmetric", "same"),
            "anchor_style": ("exact", "torchvision"),
            "box_style": ("continuous", "matterport"),
            "roi_align_method": ("roi_align", "crop_and_resize"),
            "mask_targets": ("soft", "binary"),
            "keypoint_scores": ("logit", "probability"),
        }
        for name, allowed in choices.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"{name} must be one of {allowed}. Received: {name}={value!r}")
        if self.num_classes < 1:
            raise ValueError(
                "num_classes counts the foreground classes and must be at least 1. "
                f"Received: num_classes={self.num_classes}"
            )
        # JSON turns tuples into lists; a config read back must equal the one written.
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list | tuple):
                object.__setattr__(self, field.name, _as_tuple(value))
        if self.class_names and len(self.class_names) != self.num_classes:
            raise ValueError(
                f"class_names must hold num_classes={self.num_classes} names. "
                f"Received: {len(self.class_names)} names"
            )

    def to_dict(self) -> dict[str, Any]:
        """The fields as a JSON-serialisable dictionary."""
        return dataclasses.asdict(self)


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(v) for v in value) if isinstance(value, list | tuple) else value
