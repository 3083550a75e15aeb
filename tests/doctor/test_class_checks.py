"""Classes and what there is to train on, each with its fault and without."""

import pytest
from doctor_data import data_of, examined, findings, pixels, record, save, sound, thing

from keras_maskrcnn.doctor import Severity


def names(counts):
    """What the check says of classes with so many objects, without pictures."""
    from keras_maskrcnn.doctor.case import Case
    from keras_maskrcnn.doctor.checks.classes import misspelt_classes
    from keras_maskrcnn.images.input_size import InputSize

    things = [thing(1, category=k) for k, n in enumerate(counts.values()) for _ in range(n)]
    data = data_of([record(1, "a.png", things)], list(counts))
    case = Case({"data": data}, {}, InputSize(), (32.0,), (1.0,))
    return [finding.words for finding in misspelt_classes(case)]


def test_misspelt_names():
    assert names({"apple": 40, "appel": 10}) == [
        "'appel' (10 objects): perhaps 'apple' (40 objects)"
    ]
    assert names({"person": 4, "persons": 1}) == [
        "'persons' (1 object): perhaps 'person' (4 objects)"
    ]
    # Case, spaces and marks alone are told whatever the counts.
    assert len(names({"Traffic light": 5, "traffic_light": 6, "trafficlight": 5})) == 2
    assert len(names({"apple": 0, "Apple": 0})) == 1


@pytest.mark.parametrize(
    "counts",
    [
        {"apple": 40, "appel": 11},  # Too many for a mistake.
        {"male": 30, "female": 20},
        {"part1": 40, "part2": 1},
        {"cat": 40, "dog": 1},
        {"+": 40, "-": 1},
        {"猫": 40, "犬": 1},
    ],
)
def test_names_that_are_not_misspelt(counts):
    assert names(counts) == []


def test_few_objects(tmp_path):
    records = sound(tmp_path)
    assert findings(examined(data_of(records)), "class_with_few_objects") == []
    (finding,) = findings(examined(data_of(records[1:])), "class_with_few_objects")
    assert finding.words == "cat: 9 objects in data" and finding.numbers == {"objects": 9}


def test_classes_without_objects_and_in_one_split(tmp_path):
    train = data_of(sound(tmp_path, classes=["cat", "horse"]), ["cat", "horse", "unicorn"])
    val = data_of(sound(tmp_path / "val", first=20), ["cat"])
    report = examined({"val": val, "train": train})
    (finding,) = findings(report, "class_in_one_split")
    assert finding.words == "horse: 10 objects in train, none in val"
    (finding,) = findings(report, "class_without_objects")
    assert finding.words == "unicorn: no objects"
    assert [f.kind for f in report.findings] == ["class_in_one_split", "class_without_objects"]
    assert report.classes == {
        "cat": {"val": 10, "train": 10},
        "horse": {"train": 10},
        "unicorn": {"train": 0},
    }
    # Only in validation: never found.
    report = examined({"train": val, "val": train})
    (finding,) = findings(report, "class_in_one_split")
    assert finding.words == "horse: 10 objects in val, none in train"


def test_nothing_to_train_on(tmp_path):
    path = save(tmp_path / "a.png", pixels(1))
    missing = record(2, tmp_path / "missing.png", [thing(1)])
    empty = record(1, path)
    crowd = record(1, path, [thing(1, is_crowd=True)])
    for records, kind in (
        ([empty], "no_objects"),
        ([crowd], "no_objects"),
        ([empty, missing], "no_objects"),
        ([missing], "no_readable_picture"),
        ([record(1, path, [thing(1)], size=(61, 80))], "no_readable_picture"),
        ([], "no_readable_picture"),
    ):
        report = examined(data_of(records))
        errors = [f.kind for f in report.findings if f.severity == Severity.ERROR]
        assert errors == [kind] and not report.makes_sense
        assert report.findings[0].kind == kind
    (finding,) = findings(examined(data_of([crowd])), "no_objects")
    assert finding.numbers == {"objects": 0, "crowds": 1}
    # Objects are needed for training alone, pictures for both.
    good = data_of([record(1, path, [thing(1)])])
    assert examined({"train": good, "val": data_of([empty])}).makes_sense
    assert not examined({"train": good, "val": data_of([missing])}).makes_sense
    assert not examined({"train": data_of([empty]), "val": good}).makes_sense
    assert not examined({"first": data_of([empty]), "second": good}).makes_sense


def test_what_the_reader_left_out(tmp_path):
    data = data_of(sound(tmp_path))
    data.warnings = ["annotation id 3: box has no area", "image id 8: picture is missing"]
    lines = findings(examined(data), "left_out")
    assert [line.words for line in lines] == [f"data: {line}" for line in data.warnings]


def test_what_the_reader_decided(tmp_path):
    data = data_of(sound(tmp_path))
    data.notes = ["3 of 3 objects are marked iscrowd=1"]
    (line,) = findings(examined(data), "decided")
    assert line.words == f"data: {data.notes[0]}"
    assert examined(data).makes_sense


def test_objects_on_the_border_are_fine(tmp_path):
    path = save(tmp_path / "x.png", pixels(99))
    box = (0, 0, 80, 60)
    report = examined(data_of([*sound(tmp_path), record(77, path, [thing(1, box)])]))
    assert report.findings == ()
