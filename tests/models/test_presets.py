"""Presets: they exist, agree with what is recorded of the libraries, and re-head."""

import pytest

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
    config = preset.config()
    assert len(preset.category_ids) == config.num_classes == len(config.class_names)
    measured = {"box", "keypoint" if config.num_keypoints else "mask"}
    if name.startswith("matterport"):  # states no checksum; of its mask AP we have no source
        assert preset.checksum == ""
        measured = {"box"}
    else:
        assert preset.checksum in preset.url and preset.checksum.isalnum()
        assert len(preset.checksum) == {"sha256": 8, "md5": 6}[preset.algorithm]
    assert set(preset.published) == measured and bool(preset.source)
    assert config.predict_masks == (not config.num_keypoints)


def test_conventions_of_training():
    for name, preset in PRESETS.items():
        config = preset.config()
        # Only torchvision's keypoints are COCO's indices of pixels.
        assert config.keypoint_shift == (0.5 if name.startswith("keypointrcnn") else 0.0), name
        # Regions of many objects are no negatives, though the libraries take them for background.
        assert config.crowd_overlap == 0.7, name


def test_names_and_urls():
    preset = get_preset("mask_rcnn_X_101_32x8d_FPN")
    assert preset.config().backbone == "resnext101_32x8d"
    assert preset.url.endswith(
        "detectron2/COCO-InstanceSegmentation/mask_rcnn_X_101_32x8d_FPN_3x/139653917/"
        "model_final_2d9806.pkl"
    )
    assert get_preset("mask_rcnn_R_101_C4").config().neck == "c4"
    with pytest.raises(ValueError, match=r"mask_rcnn_R_50_FPN.* Received: name='yolo'"):
        get_preset("yolo")


def test_other_classes_drop_the_names():
    preset = get_preset("maskrcnn_resnet50_fpn_coco")
    assert preset.config(num_classes=2).class_names == ()
    assert preset.config(num_classes=2, class_names=["a", "b"]).class_names == ("a", "b")
    assert preset.config(norm_epsilon=1e-5).num_classes == 90
