"""Models of detectron2's zoo."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

from keras_maskrcnn.models.coco_classes import COCO_IDS
from keras_maskrcnn.models.presets.preset import COCO_80, PERSON, Preset, merged

_URL = "https://dl.fbaipublicfiles.com/detectron2/"
_SOURCE = "detectron2 MODEL_ZOO.md (COCO val2017)"

_BASE: dict[str, Any] = {
    "rpn": {"proposals_train": 1000, "match_zero_iou": True, "beta": 0.0},
    "box": {"beta": 0.0},
    "pooler": {"name": "roi_align", "aligned": True, "sampling_ratio": 0},
}
_MASKS: dict[str, Any] = {
    **COCO_80,
    "heads": ({"name": "mask", "target_style": "binary"},),
}
_KEYPOINTS: dict[str, Any] = {
    **PERSON,
    "rpn.proposals_train": 1500,
    "box.beta": 0.5,
    "heads": ({"name": "keypoint", "num_keypoints": 17, "scores": "probability"},),
}
# Anchors of all sizes on one map of stride 16.
_ONE_MAP: dict[str, Any] = {
    "size_divisor": 1,
    "rpn": {
        "anchor_sizes": ((32, 64, 128, 256, 512),),
        "pre_nms_train": 12000,
        "pre_nms_test": 6000,
        "proposals_train": 2000,
        "proposals_test": 1000,
    },
}
_NECKS: dict[str, dict[str, Any]] = {
    "FPN": {},
    "C4": {**_ONE_MAP, "neck": "c4", "box": {"pool_size": 14, "fcs": 0}, "mask.convs": 0},
    "DC5": {**_ONE_MAP, "neck": "dc5"},
}
_MSRA: dict[str, Any] = {"stride_in_1x1": True, "preprocessing": "caffe"}
_BACKBONES: dict[str, dict[str, Any]] = {
    "R_50": {"name": "resnet50", **_MSRA},
    "R_101": {"name": "resnet101", **_MSRA},
    # BGR over the ImageNet deviation: RGB likewise once the stem's kernel is turned round, which
    # the reader does.
    "X_101_32x8d": {"name": "resnext101_32x8d", "preprocessing": "torch"},
    "regnetx_4gf_dds": {"name": "regnetx_4gf", "preprocessing": "torch"},
    "regnety_4gf_dds": {"name": "regnety_4gf", "preprocessing": "torch"},
}
_CASCADE: dict[str, Any] = {"rpn.proposals_train": 2000, "box": {"name": "cascade", "beta": 0.0}}


def _norms(norm: str) -> dict[str, Any]:
    """A norm in all convolutions but the RPN's, and four of them in the box head."""
    return {
        "backbone.norm": norm,
        "neck.norm": norm,
        "box": {"norm": norm, "convs": 4, "fcs": 1},
        "mask.norm": norm,
    }


# Trained from scratch with large scale jitter (Ghiasi et al. 2021, arXiv 2012.07177, section 4).
_LSJ: dict[str, Any] = {
    **_norms("sync_batch"),
    "backbone.freeze_at": 0,
    "rpn.convs": 2,
    "min_size": 1024,
    "max_size": 1024,
}


def _preset(config: str, file: str, *layers: Mapping[str, Any], **published: float) -> Preset:
    """A model of the zoo.

    Args:
        config: its folder and name; the schedule of three times the basic one is not named.
        file: its number and file name.
        *layers: arguments beyond those that the name says.
        **published: average precisions.
    """
    folder, _, full_name = config.partition("/")
    name = full_name.removesuffix("_3x").replace("_FPN_3x_", "_FPN_")
    keypoints = name.startswith("keypoint")
    words = name.partition("_rcnn_")[2]
    backbone, neck = next(
        (backbone, neck)
        for backbone in _BACKBONES
        for neck in _NECKS
        if words.startswith(f"{backbone}_{neck}")
    )
    arguments = merged(
        _BASE,
        {"backbone": _BACKBONES[backbone]},
        _KEYPOINTS if keypoints else _MASKS,
        _NECKS[neck],
        *layers,
    )
    return Preset(
        name=name,
        arguments=arguments,
        category_ids=(1,) if keypoints else COCO_IDS,
        url=f"{_URL}{folder}/{full_name}/{file}",
        checksum=file.removesuffix(".pkl").rpartition("_")[2],
        algorithm="md5",
        published=types.MappingProxyType(published),
        source=_SOURCE,
    )


_INSTANCES = "COCO-InstanceSegmentation/mask_rcnn_"
_PERSONS = "COCO-Keypoints/keypoint_rcnn_"

DETECTRON2 = (
    _preset(f"{_INSTANCES}R_50_C4_1x", "137259246/model_final_9243eb.pkl", box=36.8, mask=32.2),
    _preset(f"{_INSTANCES}R_50_DC5_1x", "137260150/model_final_4f86c3.pkl", box=38.3, mask=34.2),
    _preset(f"{_INSTANCES}R_50_FPN_1x", "137260431/model_final_a54504.pkl", box=38.6, mask=35.2),
    _preset(f"{_INSTANCES}R_50_C4_3x", "137849525/model_final_4ce675.pkl", box=39.8, mask=34.4),
    _preset(f"{_INSTANCES}R_50_DC5_3x", "137849551/model_final_84107b.pkl", box=40.0, mask=35.9),
    _preset(f"{_INSTANCES}R_50_FPN_3x", "137849600/model_final_f10217.pkl", box=41.0, mask=37.2),
    _preset(f"{_INSTANCES}R_101_C4_3x", "138363239/model_final_a2914c.pkl", box=42.6, mask=36.7),
    _preset(f"{_INSTANCES}R_101_DC5_3x", "138363294/model_final_0464b7.pkl", box=41.9, mask=37.3),
    _preset(f"{_INSTANCES}R_101_FPN_3x", "138205316/model_final_a3ec72.pkl", box=42.9, mask=38.6),
    _preset(
        f"{_INSTANCES}X_101_32x8d_FPN_3x", "139653917/model_final_2d9806.pkl", box=44.3, mask=39.5
    ),
    _preset(f"{_PERSONS}R_50_FPN_1x", "137261548/model_final_04e291.pkl", box=53.6, keypoint=64.0),
    _preset(f"{_PERSONS}R_50_FPN_3x", "137849621/model_final_a6e10b.pkl", box=55.4, keypoint=65.5),
    _preset(f"{_PERSONS}R_101_FPN_3x", "138363331/model_final_997cc7.pkl", box=56.4, keypoint=66.1),
    _preset(
        f"{_PERSONS}X_101_32x8d_FPN_3x",
        "139686956/model_final_5ad38f.pkl",
        box=57.3,
        keypoint=66.0,
    ),
    _preset(
        "Misc/cascade_mask_rcnn_R_50_FPN_1x",
        "138602847/model_final_e9d89b.pkl",
        _CASCADE,
        box=42.1,
        mask=36.4,
    ),
    _preset(
        "Misc/cascade_mask_rcnn_R_50_FPN_3x",
        "144998488/model_final_480dd8.pkl",
        _CASCADE,
        box=44.3,
        mask=38.5,
    ),
    _preset(
        "Misc/mask_rcnn_R_50_FPN_3x_gn",
        "138602888/model_final_dc5d9e.pkl",
        _norms("group"),
        {"backbone": {"stride_in_1x1": False}},
        box=42.6,
        mask=38.6,
    ),
    _preset(
        "Misc/mask_rcnn_R_50_FPN_3x_syncbn",
        "169527823/model_final_3b3c51.pkl",
        _norms("sync_batch"),
        {"backbone": {"stride_in_1x1": False}},
        box=41.9,
        mask=37.8,
    ),
    _preset(
        "Misc/scratch_mask_rcnn_R_50_FPN_3x_gn",
        "138602908/model_final_01ca85.pkl",
        _norms("group"),
        {"backbone": {"stride_in_1x1": False, "freeze_at": 0}},
        box=39.9,
        mask=36.6,
    ),
    *(
        _preset(
            f"new_baselines/mask_rcnn_{backbone}_FPN_{epochs}ep_LSJ",
            file,
            _LSJ,
            box=box,
            mask=mask,
        )
        for backbone, epochs, file, box, mask in (
            ("R_50", 100, "42047764/model_final_bb69de.pkl", 44.6, 40.3),
            ("R_50", 200, "42047638/model_final_89a8d3.pkl", 46.3, 41.7),
            ("R_50", 400, "42019571/model_final_14d201.pkl", 47.4, 42.5),
            ("R_101", 100, "42025812/model_final_4f7b58.pkl", 46.4, 41.6),
            ("R_101", 200, "42131867/model_final_0bb7ae.pkl", 48.0, 43.1),
            ("R_101", 400, "42073830/model_final_f96b26.pkl", 48.9, 43.7),
            ("regnetx_4gf_dds", 100, "42047771/model_final_b7fbab.pkl", 46.0, 41.3),
            ("regnetx_4gf_dds", 200, "42132721/model_final_5d87c1.pkl", 48.1, 43.1),
            ("regnetx_4gf_dds", 400, "42025447/model_final_f1362d.pkl", 48.6, 43.5),
            ("regnety_4gf_dds", 100, "42047784/model_final_6ba57e.pkl", 46.1, 41.6),
            ("regnety_4gf_dds", 200, "42047642/model_final_27b9c1.pkl", 47.8, 43.0),
            ("regnety_4gf_dds", 400, "42045954/model_final_ef3a80.pkl", 48.2, 43.3),
        )
    ),
)
