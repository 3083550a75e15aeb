"""Data for training and validation: splits that lie there, and those that are made."""

import pytest
from format_files import save_picture, write_json

from keras_maskrcnn.data import DetectionData, ImageRecord, load_splits, split_data


def pictures(*names):
    records = [ImageRecord(k, f"/x/photos/{name}", 6, 8) for k, name in enumerate(names, 1)]
    return DetectionData(records, ["cat"], [1], warnings=["a"], name="x")


def names(data):
    return [record.path.rsplit("/", 1)[1] for record in data.records]


def test_a_fraction_is_set_aside():
    data = pictures(*(f"{k:03}.jpg" for k in range(50)))
    train, val = split_data(data, 0.2, seed=1)
    assert (len(train), len(val)) == (40, 10)
    assert sorted(names(train) + names(val)) == names(data)
    assert names(train) == sorted(names(train))
    assert (train.name, val.name, train.warnings, val.warnings) == ("x_train", "x_val", ["a"], [])
    # The same again, also of another order; another with another seed.
    data.records.reverse()
    assert set(names(split_data(data, 0.2, seed=1)[1])) == set(names(val))
    assert set(names(split_data(data, 0.2, seed=2)[1])) != set(names(val))
    for fraction in (0.0, 1.0, -1, float("nan")):
        with pytest.raises(ValueError, match="val_fraction above 0 and below 1"):
            split_data(data, fraction)


@pytest.mark.parametrize(
    "form",
    [
        *("{}_jpg.rf.{:08x}.jpg", "{}_frame_{:04}.png", "{}-frame{}.jpg", "{}_tile{}.jpg"),
        *("{}_x{}_y512.png", "{}_r{}_c2.png"),
    ],
)
def test_pictures_of_one_origin_stay_together(form):
    origins = [f"photo{k}" for k in range(20)]
    data = pictures(*(form.format(origin, k) for origin in origins for k in range(4)))
    for seed in range(5):
        train, val = split_data(data, 0.25, seed)
        sides = [
            {name[: name.index("_" if "_" in form else "-")] for name in names(side)}
            for side in (train, val)
        ]
        assert not sides[0] & sides[1]
        assert len(val) == 20


def test_numbers_alone_say_nothing():
    data = pictures("frame_1.jpg", "frame_2.jpg", "IMG_1.jpg", "IMG_2.jpg")
    assert [len(part) for part in split_data(data, 0.25)] == [3, 1]


def test_a_large_group_does_not_take_all():
    data = pictures(*(f"long_frame_{k}.jpg" for k in range(30)), "a.jpg", "b.jpg")
    for seed in range(6):
        train, val = split_data(data, 0.1, seed)
        assert len(train) >= 30 and 1 <= len(val) <= 2
    # Two large ones: the smaller is set aside, since one must be.
    data = pictures(*(f"{'ab'[k > 9]}_frame_{k}.jpg" for k in range(30)))
    assert [len(part) for part in split_data(data, 0.1)] == [20, 10]
    with pytest.raises(ValueError, match="x: expected pictures of at least two origins"):
        split_data(pictures("long_frame_1.jpg", "long_frame_2.jpg"))


def write_labelme(folder, name, *labels):
    save_picture(folder / f"{name}.jpg")
    points = [[1, 1], [9, 1], [9, 9]]
    shapes = [{"label": label, "points": points, "shape_type": "polygon"} for label in labels]
    write_json(folder / f"{name}.json", {"shapes": shapes, "imagePath": f"{name}.jpg"})


def test_splits_that_lie_there_have_the_same_classes(tmp_path):
    write_labelme(tmp_path / "train", "a", "pear", "fig")
    write_labelme(tmp_path / "valid", "a", "pear", "plum")
    write_labelme(tmp_path / "test", "a", "pear")
    with pytest.warns(UserWarning, match=r"left out 1 items .*unknown class \(plum\)"):
        train, val = load_splits(tmp_path, verbose=False)
    assert train.class_names == val.class_names == ["fig", "pear"]
    assert [o.category for o in val.records[0].objects] == [1]
    assert val.records[0].path == str(tmp_path / "valid" / "a.jpg")


def test_what_is_missing_is_made(tmp_path):
    for k in range(10):
        write_labelme(tmp_path / "train", str(k), "pear")
    train, val = load_splits(tmp_path, val_fraction=0.3, verbose=False)
    assert (len(train), len(val)) == (7, 3)
    train, val = load_splits(tmp_path / "train", val_fraction=0.3, verbose=False)
    assert (len(train), len(val)) == (7, 3)
    (tmp_path / "train").rename(tmp_path / "test")
    with pytest.raises(ValueError, match="one split called train. Received: test"):
        load_splits(tmp_path)
