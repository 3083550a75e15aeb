"""Published models: how each is built, and where its weights come from."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Any

from keras_maskrcnn.models.coco_classes import COCO_IDS, COCO_NAMES, COCO_NAMES_BY_ID
from keras_maskrcnn.models.settings import merge_arguments
from keras_maskrcnn.weights.matterport import MATTERPORT_CONVENTIONS

_TORCHVISION_URL = "https://download.pytorch.org/models/"
_TORCHVISION_SOURCE = "torchvision.models, docs of the weights (COCO val2017)"
_DETECTRON2_URL = "https://dl.fbaipublicfiles.com/detectron2/"
_DETECTRON2_SOURCE = "detectron2 MODEL_ZOO.md, 3x schedule (COCO val2017)"
_MATTERPORT_URL = "https://github.com/matterport/Mask_RCNN/releases/download/v2.0/"
_MATTERPORT_SOURCE = "facebookresearch/maskrcnn-benchmark, issue 449 (COCO 2014 minival)"


@dataclasses.dataclass(frozen=True)
class Preset:
    """One published model.

    Args:
        name: of the preset.
        arguments: of `MaskRCNN`.
        category_ids: COCO category of each class.
        url: of the official weights.
        checksum: first hexadecimal digits of the file's checksum, as in its name; empty where the
            publisher states none.
        algorithm: of the checksum. torchvision puts 8 digits of SHA-256 into a file name,
            detectron2 6 digits of MD5: enough against a broken download, not against forgery.
            Matterport publishes no checksum.
        published: average precisions that the publisher states: `box`, `mask`, `keypoint`.
        source: where it states them.
    """

    name: str
    arguments: Mapping[str, Any]
    category_ids: tuple[int, ...]
    url: str
    checksum: str
    algorithm: str
    published: Mapping[str, float]
    source: str

    @property
    def num_classes(self) -> int:
        """Foreground classes of the published weights."""
        return self.arguments["num_classes"]

    def model_arguments(self, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The arguments of `MaskRCNN` that make the model.

        Args:
            changes: see `merge_arguments`; with another `num_classes`, names are dropped unless
                given.
        """
        changes = dict(changes or {})
        if changes.get("num_classes", self.num_classes) != self.num_classes:
            changes.setdefault("class_names", ())
        return merge_arguments(self.arguments, changes)


# Everything in which torchvision's models differ from our defaults, see the golden files' traps;
# but for what makes no difference to what weights mean: masks are pasted on float boxes, crowds are
# no negatives, and the RPN's losses are over the samples asked for (see `RPN`).
_TORCHVISION: dict[str, Any] = {
    "backbone": {"name": "resnet50", "preprocessing": "torch"},
    "rpn": {"anchor_style": "torchvision", "match_zero_iou": True, "beta": 1.0 / 9.0},
    "box": {"beta": 1.0 / 9.0},
    "pooler": {"name": "roi_align", "aligned": False, "sampling_ratio": 2},
}
_COCO_90: dict[str, Any] = {"num_classes": 90, "class_names": COCO_NAMES_BY_ID}
_COCO_80: dict[str, Any] = {"num_classes": 80, "class_names": COCO_NAMES}
_PERSON: dict[str, Any] = {"num_classes": 1, "class_names": ("person",)}
# As torchvision does when it loads these files.
_FROZEN_WITHOUT_EPSILON: dict[str, Any] = {
    "backbone.norm": "frozen",
    "backbone.norm_epsilon": 0.0,
    "neck.norm_epsilon": 0.0,
}

_DETECTRON2: dict[str, Any] = {
    "rpn": {"proposals_train": 1000, "match_zero_iou": True, "beta": 0.0},
    "box": {"beta": 0.0},
    "heads": ({"name": "mask", "target_style": "binary"},),
    "pooler": {"name": "roi_align", "aligned": True, "sampling_ratio": 0},
}
_DETECTRON2_C4: dict[str, Any] = {
    "neck": "c4",
    "size_divisor": 1,
    "rpn": {
        "anchor_sizes": ((32, 64, 128, 256, 512),),
        "pre_nms_train": 12000,
        "pre_nms_test": 6000,
        "proposals_train": 2000,
        "proposals_test": 1000,
    },
    "box": {"pool_size": 14, "fcs": 0},
    "mask.convs": 0,
}
_DETECTRON2_KEYPOINTS: dict[str, Any] = {
    **_PERSON,
    "rpn.proposals_train": 1500,
    "box.beta": 0.5,
    "heads": ({"name": "keypoint", "num_keypoints": 17, "scores": "probability"},),
}
_MSRA: dict[str, Any] = {"stride_in_1x1": True, "preprocessing": "caffe"}
_DETECTRON2_BACKBONES: dict[str, dict[str, Any]] = {
    "R_50": {"name": "resnet50", **_MSRA},
    "R_101": {"name": "resnet101", **_MSRA},
    # BGR over the ImageNet deviation: RGB likewise once the stem's kernel is turned round, which
    # the reader does.
    "X_101_32x8d": {"name": "resnext101_32x8d", "preprocessing": "torch"},
}


# Architecture and settings, which Matterport's users may have changed for models of their own. Its
# ratios are widths over heights.
_MATTERPORT: dict[str, Any] = {
    "backbone": "resnet101",
    "backbone.norm_epsilon": 1e-3,
    "neck.norm_epsilon": 1e-3,
    "min_size": 800,
    "max_size": 1024,
    "size_divisor": 1024,
    "rpn": {
        "anchor_ratios": (2.0, 1.0, 0.5),
        "channels": 512,
        "match_zero_iou": True,
        "pre_nms_train": 6000,
        "pre_nms_test": 6000,
        "beta": 1.0,
    },
    "box": {
        "samples": 200,
        "positive_fraction": 0.33,
        "beta": 1.0,
        "score_threshold": 0.7,
        "nms_iou": 0.3,
    },
    "mask.target_style": "binary",
    **MATTERPORT_CONVENTIONS,
}


def _merged(*layers: Mapping[str, Any]) -> Mapping[str, Any]:
    """One layer of arguments over the other."""
    arguments: dict[str, Any] = {}
    for layer in layers:
        arguments = merge_arguments(arguments, layer)
    return types.MappingProxyType(arguments)


def _torchvision(name: str, file: str, *layers: Mapping[str, Any], **published: float) -> Preset:
    arguments = _merged(_TORCHVISION, *layers)
    keypoints = arguments["num_classes"] == 1
    return Preset(
        name=name,
        arguments=arguments,
        category_ids=(1,) if keypoints else tuple(range(1, 91)),
        url=_TORCHVISION_URL + file,
        checksum=file.removesuffix(".pth").rpartition("-")[2],
        algorithm="sha256",
        published=types.MappingProxyType(published),
        source=_TORCHVISION_SOURCE,
    )


def _detectron2(architecture: str, file: str, **published: float) -> Preset:
    """A model of detectron2's zoo.

    Args:
        architecture: its config's name without the schedule, such as `"mask_rcnn_R_50_FPN"`.
        file: its number and file name.
        **published: average precisions.
    """
    task, _, network = architecture.partition("_rcnn_")
    backbone, _, neck = network.rpartition("_")
    arguments = _merged(
        _DETECTRON2,
        {"backbone": _DETECTRON2_BACKBONES[backbone]},
        _COCO_80 if task == "mask" else _DETECTRON2_KEYPOINTS,
        _DETECTRON2_C4 if neck == "C4" else {},
    )
    folder = {"mask": "COCO-InstanceSegmentation", "keypoint": "COCO-Keypoints"}[task]
    return Preset(
        name=architecture,
        arguments=arguments,
        category_ids=COCO_IDS if task == "mask" else (1,),
        url=f"{_DETECTRON2_URL}{folder}/{architecture}_3x/{file}",
        checksum=file.removesuffix(".pkl").rpartition("_")[2],
        algorithm="md5",
        published=types.MappingProxyType(published),
        source=_DETECTRON2_SOURCE,
    )


PRESETS: Mapping[str, Preset] = types.MappingProxyType(
    {
        preset.name: preset
        for preset in (
            _torchvision(
                "maskrcnn_resnet50_fpn_coco",
                "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
                _COCO_90,
                _FROZEN_WITHOUT_EPSILON,
                box=37.9,
                mask=34.6,
            ),
            _torchvision(
                "maskrcnn_resnet50_fpn_v2_coco",
                "maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth",
                _COCO_90,
                {
                    "backbone.norm": "batch",
                    "neck.norm": "batch",
                    "rpn.convs": 2,
                    "box": {"norm": "batch", "convs": 4, "fcs": 1},
                    "mask.norm": "batch",
                },
                box=47.4,
                mask=41.8,
            ),
            _torchvision(
                "keypointrcnn_resnet50_fpn_coco",
                "keypointrcnn_resnet50_fpn_coco-fc266e95.pth",
                _PERSON,
                _FROZEN_WITHOUT_EPSILON,
                {"heads": ({"name": "keypoint", "num_keypoints": 17, "shift": 0.5},)},
                box=54.6,
                keypoint=65.0,
            ),
            _detectron2(
                "mask_rcnn_R_50_C4", "137849525/model_final_4ce675.pkl", box=39.8, mask=34.4
            ),
            _detectron2(
                "mask_rcnn_R_50_FPN", "137849600/model_final_f10217.pkl", box=41.0, mask=37.2
            ),
            _detectron2(
                "mask_rcnn_R_101_C4", "138363239/model_final_a2914c.pkl", box=42.6, mask=36.7
            ),
            _detectron2(
                "mask_rcnn_R_101_FPN", "138205316/model_final_a3ec72.pkl", box=42.9, mask=38.6
            ),
            _detectron2(
                "mask_rcnn_X_101_32x8d_FPN",
                "139653917/model_final_2d9806.pkl",
                box=44.3,
                mask=39.5,
            ),
            _detectron2(
                "keypoint_rcnn_R_50_FPN",
                "137849621/model_final_a6e10b.pkl",
                box=55.4,
                keypoint=65.5,
            ),
            _detectron2(
                "keypoint_rcnn_R_101_FPN",
                "138363331/model_final_997cc7.pkl",
                box=56.4,
                keypoint=66.1,
            ),
            _detectron2(
                "keypoint_rcnn_X_101_32x8d_FPN",
                "139686956/model_final_5ad38f.pkl",
                box=57.3,
                keypoint=66.0,
            ),
            Preset(
                name="matterport_mask_rcnn_coco",
                arguments=_merged(_MATTERPORT, _COCO_80),
                category_ids=COCO_IDS,
                url=f"{_MATTERPORT_URL}mask_rcnn_coco.h5",
                checksum="",
                algorithm="sha256",
                published=types.MappingProxyType({"box": 34.7}),
                source=_MATTERPORT_SOURCE,
            ),
        )
    }
)


def get_preset(name: str) -> Preset:
    """The preset of that name; `ValueError` with all names for an unknown one."""
    if name not in PRESETS:
        raise ValueError(f"unknown preset; known are {', '.join(PRESETS)}. Received: name={name!r}")
    return PRESETS[name]
