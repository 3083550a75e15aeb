"""Names and defaults that the command line offers, apart from what they stand for.

What they stand for needs NumPy or TensorFlow, and `maskrcnn --help` does not wait for these.
"""

# Files of `data/writers/`, each with the writer of that name.
WRITERS = ("coco", "cvat", "label_studio", "labelme", "voc", "yolo")
# In which pictures come that a person should correct; see `preannotations.ordering`.
ORDERS = ("given", "uncertainty")
# See `training.options`.
OPTIMIZERS = ("sgd", "adam")
# Of the learning rate; see `schedules`.
DECAYS = ("step", "cosine", "constant")
# What of a model can be kept from training; see `training.freezing`.
FREEZES = ("backbone", "all_but_heads")
# COCO's comparisons; see `evaluation.metrics`.
COMPARISONS = ("bbox", "segm", "keypoints")
# What they measure, by which a best epoch can be chosen; see `evaluation.metrics`.
_AREAS = ("ap", "ap50", "ap75", "apm", "apl", "ar", "arm", "arl")
METRICS = (
    *(f"{kind}_{name}" for kind in ("mask", "box", "keypoint") for name in _AREAS),
    *(f"{kind}_{name}" for kind in ("mask", "box") for name in ("aps", "ars", "ar_1", "ar_10")),
    *("keypoint_ar50", "keypoint_ar75"),
)
# See `export.exporting`.
EXPORTS = ("tf_saved_model", "onnx", "litert")
# Part of the pictures that is set aside for validation; see `data.splits`.
VAL_FRACTION = 0.2
# Policies of `data.transforms`.
AUGMENTATIONS = ("none", "flip", "standard", "lsj", "small_data", "microscopy", "aerial")
# Files of `data/sampling/`.
SAMPLINGS = ("all", "class_balanced", "repeat_factor")
# Of `backbones.BACKBONES`, those that need nothing but their name.
_BACKBONES = """
    ConvNeXtBase ConvNeXtLarge ConvNeXtSmall ConvNeXtTiny EfficientNetV2B0 EfficientNetV2B1
    EfficientNetV2B2 EfficientNetV2B3 EfficientNetV2L EfficientNetV2M EfficientNetV2S
    MobileNetV2 MobileNetV3Large MobileNetV3Small ResNet101 ResNet101V2 ResNet152 ResNet152V2
    ResNet50 ResNet50V2 regnetx_4gf regnety_4gf resnet101 resnet152 resnet18 resnet34 resnet50
    resnext101_32x8d resnext101_64x4d resnext50_32x4d wide_resnet101_2 wide_resnet50_2
"""
BACKBONES = tuple(_BACKBONES.split())
# Settings of `MaskRCNN`, and of its parts by PART.NAME; where one of several parts may stand, those
# of all of them: a misspelt `--set` is found before the part is known.
_SETTINGS = """
    backbone box box_style channels class_names dtype heads max_size min_size name neck
    pixel_mean pixel_std pooler rpn seed size_divisor value_range weight_decay weights
    backbone.freeze_at backbone.model backbone.name backbone.norm backbone.norm_epsilon
    backbone.preprocessing backbone.stem_pool backbone.stride_in_1x1 backbone.weights
    neck.channels neck.name neck.norm neck.norm_epsilon
    rpn.anchor_offset rpn.anchor_ratios rpn.anchor_sizes rpn.anchor_style rpn.beta rpn.channels
    rpn.convs rpn.crowd_overlap rpn.iou_negative rpn.iou_positive rpn.match_zero_iou rpn.name
    rpn.nms_iou rpn.per_level rpn.positive_fraction rpn.pre_nms_test rpn.pre_nms_train
    rpn.proposals_test rpn.proposals_train rpn.samples rpn.weights
    box.beta box.class_agnostic box.convs box.crowd_overlap box.dim box.fcs box.iou box.ious
    box.max_detections box.name box.nms box.nms_iou box.norm box.one_class_per_roi box.pool_size
    box.pooler box.positive_fraction box.samples box.score_threshold box.soft_sigma box.weights
    pooler.aligned pooler.backend pooler.name pooler.output_size pooler.sampling_ratio
    pooler.strides
    keypoint.convs keypoint.dim keypoint.name keypoint.num_keypoints keypoint.pool_size
    keypoint.pooler keypoint.scores keypoint.shift
    mask.convs mask.dim mask.name mask.norm mask.output mask.pool_size mask.pooler
    mask.target_style mask.upsampling
    mask_mlp.dim mask_mlp.fcs mask_mlp.name mask_mlp.output mask_mlp.pool_size mask_mlp.pooler
    mask_mlp.side mask_mlp.target_style
"""
SETTINGS = tuple(_SETTINGS.split())
