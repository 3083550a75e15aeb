"""What is put right, and what is left to a person."""

import json

import numpy as np
import pytest
from doctor_data import SQUARE, data_of, examined, loop, pixels, record, save, sound, thing
from format_files import outline_of

from keras_maskrcnn.data import DetectionData, ImageRecord, Instance, load_coco
from keras_maskrcnn.doctor import clean
from keras_maskrcnn.doctor.coco_file import write_coco_file
from keras_maskrcnn.outlines import Bitmap, Polygons


def cleaned(tmp_path, *things):
    """The objects of one picture after cleaning, by id."""
    path = save(tmp_path / "x.png", pixels(99))
    data = data_of([*sound(tmp_path), record(77, path, things)], ["cat", "horse"])
    after = clean(examined(data))["data"]
    assert len(after) == 11 and len(data.records[-1].instances) == len(things)
    return {o.annotation_id: o for o in after.records[-1].instances}


def test_objects(tmp_path):
    after = cleaned(
        tmp_path,
        thing(1),
        thing(2),
        thing(3, (60, 10, 80, 42), [loop((60, 10, 90, 42))]),
        thing(4, (50, 0, 80, 60), [loop((55, 5, 75, 55))]),
        thing(5, outline=[[0, 0, 40, 40, 0, 0]]),
        thing(6, (40, 40, 60, 41)),
        thing(7, (40, 40, 60, 41), category=1),
        thing(8, (0, 40, 20, 60), [loop((0, 40, 20, 60))], is_crowd=True),
    )
    assert sorted(after) == [1, 3, 4, 6, 7, 8]
    assert after[3].outline.bounds() == (60, 10, 80, 42) and after[3].area == 20 * 32
    assert after[3].box == (60, 10, 80, 42)
    assert after[4].box == (55, 5, 75, 55) and after[4].area == pytest.approx(1000)
    assert after[8].is_crowd
    boxes = cleaned(tmp_path, thing(1, (60, 10, 90, 42), None), thing(2, (90, 1, 99, 9), None))
    assert boxes[1].box == (60, 10, 80, 42) and boxes[1].area == 640 and len(boxes) == 1


def test_pictures(tmp_path):
    records = sound(tmp_path)
    copy = save(tmp_path / "copy.png", pixels(3))
    text = tmp_path / "text.png"
    text.write_text("")
    more = [
        record(50, copy),
        record(51, text, [thing(1)]),
        record(52, save(tmp_path / "y.png", pixels(98)), size=(80, 60)),
    ]
    after = clean(examined(data_of([*records, *more])))["data"]
    assert [r.image_id for r in after.records] == list(range(10))
    assert clean(examined(data_of(records)))["data"].records == records


def test_copies_stay_where_they_are_tested(tmp_path):
    train, val = sound(tmp_path / "a"), sound(tmp_path / "b", first=20)
    save(tmp_path / "b" / "20.png", pixels(0))
    after = clean(examined((data_of(train), data_of(val))))
    assert [r.image_id for r in after["train"].records] == list(range(1, 10))
    assert len(after["val"]) == 10


def test_a_part_of_which_nothing_is_left(tmp_path):
    save(tmp_path / "a.png", pixels(1))
    data = data_of([record(1, tmp_path / "a.png", [thing(1)])])
    with pytest.raises(ValueError, match="'train'. Received: 1 pictures"):
        clean(examined((data, data)))


def test_coco_file_is_read_back(tmp_path):
    path = save(tmp_path / "pictures" / "sub" / "a b.png", pixels(1))
    bits = Bitmap(np.eye(20, dtype=bool), 5, 6)
    points = np.array([[10.5, 20.5, 2], [0, 0, 0]], np.float32)
    things = (
        Instance(0, (10, 10.25, 42, 42), Polygons([loop(SQUARE), [11, 12, 30, 12, 11, 39]]), False,
                 99.5, 3, points),
        Instance(1, (5, 6, 25, 26), bits, False, 20.0, 5),
        Instance(1, (0, 0, 9, 9), None, True, 81.0, 8),
    )  # fmt: skip
    data = DetectionData(
        [ImageRecord(7, str(path), 60, 80, things)], ["cat", "dog"], [4, 9], ["a", "b"], name="x"
    )
    file = tmp_path / "out.json"
    write_coco_file(data, file, tmp_path / "pictures")
    back = load_coco(file, tmp_path / "pictures", on_error="raise")
    assert (back.class_names, back.category_ids) == (["cat", "dog"], [4, 9])
    assert back.keypoint_names == ["a", "b"]
    (record_,) = back.records
    assert (record_.image_id, record_.path, record_.height) == (7, str(path), 60)
    for before, after in zip(things, record_.instances, strict=True):
        for name in ("category", "box", "is_crowd", "area", "annotation_id"):
            assert getattr(before, name) == getattr(after, name), name
    assert outline_of(record_.instances[0]) == things[0].outline.to_coco(60, 80)
    np.testing.assert_array_equal(
        record_.instances[1].outline.draw_whole(60, 80), bits.draw_whole(60, 80)
    )
    assert record_.instances[2].outline is None
    np.testing.assert_array_equal(record_.instances[0].keypoints, points)
    assert json.loads(file.read_text())["images"][0]["file_name"] == "sub/a b.png"
    with pytest.raises(FileExistsError):
        write_coco_file(data, file, tmp_path)
