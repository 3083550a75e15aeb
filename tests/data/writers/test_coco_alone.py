"""A COCO file about pictures that stay where they are."""

import json
import os

import numpy as np
import pytest
from format_files import outline_of, save_picture
from written_scenes import with_hole

from keras_maskrcnn.data import DetectionData, ImageRecord, Instance, load_coco
from keras_maskrcnn.data.writers.coco import write_coco
from keras_maskrcnn.outlines import Bitmap, Polygons

SQUARE = [10, 10.25, 42, 10.25, 42, 42, 10, 42]


def made(path, things=(), ids=(4, 9)):
    record = ImageRecord(7, str(save_picture(path)), 60, 80, tuple(things))
    return DetectionData([record], ["cat", "dog"], list(ids), ["a", "b"], name="x")


def test_it_is_read_back(tmp_path):
    path = tmp_path / "pictures" / "sub" / "a b.png"
    bits = Bitmap(np.eye(20, dtype=bool), 5, 6)
    points = np.array([[10.5, 20.5, 2], [0, 0, 0]], np.float32)
    things = (
        Instance(0, (10, 10.25, 42, 42), Polygons([SQUARE, [11, 12, 30, 12, 11, 39]]), False,
                 99.5, 3, points),
        Instance(1, (5, 6, 25, 26), bits, False, 20.0, 5),
        Instance(1, (0, 0, 9, 9), None, True, 81.0, 8),
    )  # fmt: skip
    data = made(path, things)
    file = tmp_path / "out.json"
    assert write_coco(data, file, tmp_path / "pictures").lines == []
    back = load_coco(file, tmp_path / "pictures", on_error="raise")
    assert (back.class_names, back.category_ids) == (["cat", "dog"], [4, 9])
    assert back.keypoint_names == ["a", "b"]
    (record,) = back.records
    assert (record.image_id, record.path, record.height) == (7, str(path), 60)
    for before, after in zip(things, record.instances, strict=True):
        for name in ("category", "box", "is_crowd", "area", "annotation_id"):
            assert getattr(before, name) == getattr(after, name), name
    assert outline_of(record.instances[0]) == things[0].outline.to_coco(60, 80)
    np.testing.assert_array_equal(
        record.instances[1].outline.draw_whole(60, 80), bits.draw_whole(60, 80)
    )
    assert record.instances[2].outline is None
    np.testing.assert_array_equal(record.instances[0].keypoints, points)
    assert json.loads(file.read_text())["images"][0]["file_name"] == "sub/a b.png"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.json", "pictures"]


def test_nothing_is_overwritten(tmp_path):
    data = made(tmp_path / "a.png")
    file = tmp_path / "out.json"
    file.write_text("mine")
    with pytest.raises(FileExistsError):
        write_coco(data, file, tmp_path)
    assert file.read_text() == "mine"


def test_what_is_changed_is_told(tmp_path):
    things = [Instance(0, (35, 20, 55, 40), with_hole(), False, None, 5)]
    changed = write_coco(made(tmp_path / "a.png", things, (9, 4)), tmp_path / "o.json", tmp_path)
    assert changed.lines == [
        "x: category ids are counted from 1 in new order",
        "a.png, object 5: holes are joined to their outline by bridges of no width",
    ]


def test_a_name_that_is_no_text(tmp_path):
    path = tmp_path / os.fsdecode("Bäume \xff.png".encode("latin-1"))
    data = made(path)
    write_coco(data, tmp_path / "out.json", tmp_path)
    (record,) = load_coco(tmp_path / "out.json", tmp_path, on_error="raise").records
    assert record.path == str(path)
