"""Names and defaults that the command line offers, apart from what they stand for.

What they stand for needs NumPy or TensorFlow, and `maskrcnn --help` does not wait for these.
"""

# Files of `data/writers/`, each with the writer of that name.
WRITERS = ("coco", "cvat", "label_studio", "labelme", "tfrecord", "voc", "yolo")
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
# Settings of `MaskRCNN`.
_MODEL = """
    backbone box box_style channels class_names dtype heads max_size min_size name neck
    pixel_mean pixel_std pooler rpn seed size_divisor value_range weight_decay weights
"""
MODEL_SETTINGS = tuple(_MODEL.split())
# What those of a family of backbones have; the family is known by how their names begin.
_RESNET = "freeze_at norm norm_epsilon preprocessing stem_pool stride_in_1x1"
_REGNET = "freeze_at norm norm_epsilon preprocessing"
_APPLICATION = "freeze_at norm preprocessing weights"
_FAMILIES = {"regnet": _REGNET, **dict.fromkeys(("resne", "wide_resne"), _RESNET)}
_ROI = "pool_size pooler"
_BOX = f"""
    {_ROI} beta convs crowd_overlap dim fcs max_detections nms nms_iou norm one_class_per_roi
    positive_fraction samples score_threshold soft_sigma weights
"""
_POOLER = "backend output_size strides"
# Settings of the parts by kind and name, to which `name` comes: of all that can be chosen.
_PARTS = {
    "backbone": {
        name: next((of for start, of in _FAMILIES.items() if name.startswith(start)), _APPLICATION)
        for name in BACKBONES
    },
    "neck": {"fpn": "channels norm norm_epsilon", "c4": "", "c5": "", "dc5": ""},
    "rpn": {
        "rpn": """
            anchor_offset anchor_ratios anchor_sizes anchor_style beta channels convs crowd_overlap
            iou_negative iou_positive match_zero_iou nms_iou per_level positive_fraction
            pre_nms_test pre_nms_train proposals_test proposals_train samples weights
        """,
    },
    "box": {"box": f"{_BOX} class_agnostic iou", "cascade": f"{_BOX} ious"},
    "pooler": {
        "roi_align": f"{_POOLER} aligned sampling_ratio",
        "roi_warp": f"{_POOLER} sampling_ratio",
        "roi_pool": _POOLER,
        "crop_and_resize": _POOLER,
    },
    "heads": {
        "mask": f"{_ROI} convs dim norm output target_style upsampling",
        "mask_mlp": f"{_ROI} dim fcs output side target_style",
        "keypoint": f"{_ROI} convs dim num_keypoints scores shift",
    },
}
PART_SETTINGS = {
    kind: {name: tuple(sorted(["name", *words.split()])) for name, words in parts.items()}
    for kind, parts in _PARTS.items()
}
