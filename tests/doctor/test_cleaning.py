"""What is put right, and what is left to a person."""

import pytest
from doctor_data import data_of, examined, loop, pixels, record, save, sound, thing

from keras_maskrcnn.doctor import clean


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
