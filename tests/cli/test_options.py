"""Finding data by folder, and settings by name."""

import pytest

from keras_maskrcnn.cli.options import find_split, parse_settings


def _folder(root, *names):
    for name in names:
        path = root / name
        if path.suffix:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}")
        else:
            path.mkdir(parents=True)
    return root


def test_layouts(tmp_path):
    own = _folder(tmp_path / "own", "instances_val.json", "val", "images")
    assert find_split(own, "val") == (own / "instances_val.json", own / "val")
    shared = _folder(tmp_path / "shared", "instances_val.json", "images")
    assert find_split(shared, "val") == (shared / "instances_val.json", shared / "images")
    coco = _folder(tmp_path / "coco", "annotations/instances_val2017.json", "val2017")
    found = (coco / "annotations" / "instances_val2017.json", coco / "val2017")
    assert find_split(coco, "val") == found


def test_missing_parts_are_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere"):
        find_split(tmp_path / "nowhere", "val")
    with pytest.raises(ValueError, match="Received: none"):
        find_split(_folder(tmp_path / "a", "images"), "val")
    with pytest.raises(ValueError, match="neither is a folder"):
        find_split(_folder(tmp_path / "b", "instances_val.json"), "val")
    with pytest.raises(ValueError, match="val2014"):
        find_split(
            _folder(tmp_path / "c", "instances_val2014.json", "instances_val2017.json"), "val"
        )


def test_settings():
    words = ["backbone.norm=group", "backbone.freeze_at=0", "rpn.anchor_sizes=[[8],[16]]"]
    assert parse_settings(words) == {
        "backbone.norm": "group",
        "backbone.freeze_at": 0,
        "rpn.anchor_sizes": [[8], [16]],
    }
    with pytest.raises(ValueError, match=r"--set backbone\.norm"):
        parse_settings(["backbone.norm"])
