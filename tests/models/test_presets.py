"""Presets: they exist, agree with what is recorded of the libraries, and re-head."""

import math

import pytest

from keras_maskrcnn import MaskRCNN
from keras_maskrcnn.heads import BOXES, HEADS, RPNS
from keras_maskrcnn.models.coco_classes import COCO_IDS, COCO_NAMES, COCO_NAMES_BY_ID
from keras_maskrcnn.models.presets import PRESETS, PresetTable, get_preset


def test_classes():
    assert (len(COCO_NAMES), len(COCO_IDS), len(COCO_NAMES_BY_ID)) == (80, 80, 90)
    assert [COCO_NAMES_BY_ID[i - 1] for i in COCO_IDS] == list(COCO_NAMES)
    assert COCO_NAMES_BY_ID.count("N/A") == 10
    assert dict(zip(COCO_IDS, COCO_NAMES, strict=True))[90] == "toothbrush"


def test_classes_are_those_of_the_annotations(shared):
    import json

    file = shared / "data/coco_ccby/annotations/instances_val2017.json"
    categories = json.loads(file.read_text())["categories"]
    assert [(c["id"], c["name"]) for c in categories] == list(
        zip(COCO_IDS, COCO_NAMES, strict=True)
    )


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_complete(name):
    preset = get_preset(name)
    arguments = preset.model_arguments()
    heads = [
        head if isinstance(head, str) else head["name"]
        for head in arguments.get("heads", ("mask",))
    ]
    assert len(preset.category_ids) == preset.num_classes == len(arguments["class_names"])
    measured = {"box", *heads}
    if name.startswith("matterport"):  # states no checksum; of its mask AP we have no source
        assert preset.checksum == ""
        measured = {"box"}
    else:
        assert preset.checksum in preset.url and preset.checksum.isalnum()
        assert len(preset.checksum) == {"sha256": 8, "md5": 6}[preset.algorithm]
    assert set(preset.published) == measured and bool(preset.source)
    assert len(heads) == 1


def test_conventions_of_training():
    for name, preset in PRESETS.items():
        arguments = preset.model_arguments()
        # Only torchvision's keypoints are COCO's indices of pixels.
        heads = [HEADS.make(head, default="mask") for head in arguments.get("heads", ("mask",))]
        shift = sum(getattr(head, "shift", 0.0) for head in heads)
        assert shift == (0.5 if name.startswith("keypointrcnn") else 0.0), name
        # Regions of many objects are no negatives, though the libraries take them for background.
        for registry, part in ((RPNS, "rpn"), (BOXES, "box")):
            made = registry.make(arguments.get(part), default=part)
            assert made.settings["crowd_overlap"] == 0.7, (name, part)


def test_names_and_urls():
    preset = get_preset("mask_rcnn_X_101_32x8d_FPN")
    assert preset.model_arguments()["backbone"]["name"] == "resnext101_32x8d"
    assert preset.url.endswith(
        "detectron2/COCO-InstanceSegmentation/mask_rcnn_X_101_32x8d_FPN_3x/139653917/"
        "model_final_2d9806.pkl"
    )
    assert get_preset("mask_rcnn_R_101_C4").model_arguments()["neck"] == "c4"
    with pytest.raises(ValueError, match=r"mask_rcnn_R_50_FPN.* Received: name='yolo'"):
        get_preset("yolo")


def test_other_classes_drop_the_names():
    preset = get_preset("maskrcnn_resnet50_fpn_coco")
    assert preset.model_arguments({"num_classes": 2})["class_names"] == ()
    changes = {"num_classes": 2, "class_names": ["a", "b"]}
    assert preset.model_arguments(changes)["class_names"] == ["a", "b"]
    changed = preset.model_arguments({"backbone.norm_epsilon": 1e-5})
    assert changed["num_classes"] == len(changed["class_names"]) == 90


# Recorded models, whose tensors are listed with their shapes.
RECORDED = {
    "d2_mask_r50_c4": "mask_rcnn_R_50_C4",
    "d2_mask_r50_fpn": "mask_rcnn_R_50_FPN",
    "d2_mask_x101_fpn": "mask_rcnn_X_101_32x8d_FPN",
    "d2_keypoint_r50_fpn": "keypoint_rcnn_R_50_FPN",
    "extensions/d2_cascade_r50_fpn": "cascade_mask_rcnn_R_50_FPN",
    "extensions/d2_mask_r50_fpn_gn": "mask_rcnn_R_50_FPN_gn",
    "extensions/d2_mask_r50_fpn_lsj": "mask_rcnn_R_50_FPN_400ep_LSJ",
    "tv_mask_r50_fpn": "maskrcnn_resnet50_fpn_coco",
    "tv_mask_r50_fpn_v2": "maskrcnn_resnet50_fpn_v2_coco",
    "tv_keypoint_r50_fpn": "keypointrcnn_resnet50_fpn_coco",
}


def test_parameters_are_those_of_the_libraries(golden_info):
    for file, name in RECORDED.items():
        count = sum(
            math.prod(shape)
            for tensor, shape, _ in golden_info(file)["tensors"]
            if not tensor.endswith(("running_mean", "running_var", "num_batches_tracked"))
        )
        if file.startswith("tv"):  # its background has deltas, and a mask
            count -= 4 * 1025 + (0 if "keypoint" in file else 257)
        assert get_preset(name).parameters == count, name


# Of each architecture one.
BUILT = {preset.architecture: name for name, preset in PRESETS.items()}


@pytest.mark.slow  # All are built.
@pytest.mark.parametrize("name", BUILT.values())
def test_parameters_are_those_of_the_models(name):
    model = MaskRCNN.from_preset(name, load_weights=False)
    count = sum(math.prod(w.shape) for w in model.weights if "moving_" not in w.path)
    assert count == get_preset(name).parameters


def test_table():
    table = MaskRCNN.presets()
    assert tuple(table) == tuple(PRESETS.values()) and table[0].url.endswith("bf2d0c1e.pth")
    names = ("keypoint_rcnn_R_50_FPN", "maskrcnn_resnet50_fpn_coco", "mask_rcnn_R_50_C4")
    assert str(PresetTable(map(get_preset, names))).splitlines() == [
        "preset                      box AP  mask AP  keypoint AP  parameters  source",
        "keypoint_rcnn_R_50_FPN        55.4                  65.5      59.2 M     [1]",
        "maskrcnn_resnet50_fpn_coco    37.9     34.6                   44.5 M     [2]",
        "mask_rcnn_R_50_C4             39.8     34.4                   36.0 M     [1]",
        "[1] detectron2 MODEL_ZOO.md (COCO val2017)",
        "[2] torchvision.models, docs of the weights (COCO val2017)",
    ]
    assert repr(table) == str(table)


def test_regnets_of_the_zoo():
    preset = get_preset("mask_rcnn_regnetx_4gf_dds_FPN_200ep_LSJ")
    arguments = preset.model_arguments()
    assert arguments["backbone"] == {
        **{"name": "regnetx_4gf", "preprocessing": "torch"},
        **{"norm": "sync_batch", "freeze_at": 0},
    }
    assert (arguments["rpn"]["convs"], arguments["box"]["convs"]) == (2, 4)
    assert preset.url == (
        "https://dl.fbaipublicfiles.com/detectron2/new_baselines/"
        "mask_rcnn_regnetx_4gf_dds_FPN_200ep_LSJ/42132721/model_final_5d87c1.pkl"
    )
    # What is said of one RegNet holds for another, not for a ResNet.
    changed = preset.model_arguments({"backbone": "regnety_4gf"})["backbone"]
    assert changed == {**arguments["backbone"], "name": "regnety_4gf"}
    assert preset.model_arguments({"backbone": "resnet50"})["backbone"] == {"name": "resnet50"}
