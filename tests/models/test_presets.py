"""Presets: they exist, agree with what is recorded of the libraries, and re-head."""

import pytest

from keras_maskrcnn.heads import BOXES, HEADS, RPNS
from keras_maskrcnn.models.coco_classes import COCO_IDS, COCO_NAMES, COCO_NAMES_BY_ID
from keras_maskrcnn.models.presets import PRESETS, get_preset


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
