"""Each check of objects finds its fault, and nothing in the same data without it."""

import numpy as np
import pytest
from doctor_data import (
    SQUARE,
    data_of,
    examined,
    findings,
    loop,
    pixels,
    record,
    save,
    sound,
    thing,
)

from keras_maskrcnn.doctor.checks.outlines import crossings
from keras_maskrcnn.doctor.checks.twins import outline_overlap, overlapping
from keras_maskrcnn.images.input_size import InputSize
from keras_maskrcnn.images.tiling import Tiling
from keras_maskrcnn.outlines import RLE, Bitmap, Polygons

BOW = [10, 10, 42, 42, 42, 10, 10, 42]
# A square with a square hole, joined by a slit that is walked both ways.
BRIDGED = [10, 10, 42, 10, 42, 42, 10, 42, 10, 10, 20, 20, 20, 30, 30, 30, 30, 20, 20, 20]


def found(tmp_path, *things, kind, **options):
    """Findings of one kind on a picture with these objects beside ten sound ones."""
    path = save(tmp_path / "x.png", pixels(99))
    classes = ["cat", "horse"]
    records = [*sound(tmp_path, classes=classes), record(77, path, things)]
    return findings(examined(data_of(records, classes), **options), kind)


def test_sound_data_have_no_findings(tmp_path):
    report = examined(data_of(sound(tmp_path)))
    assert report.findings == () and report.makes_sense


# Kind, the faulty object, and its twin without the fault.
FAULTS = {
    "outline_outside": (
        thing(5, (60, 10, 80, 42), [loop((60, 10, 85, 42))]),
        thing(5, (60, 10, 80, 42), [loop((60, 10, 80.9, 42))]),
    ),
    "box_disagrees": (
        thing(5, (10, 10, 42, 50), [loop(SQUARE)]),
        thing(5, (9, 9, 43, 43), [loop(SQUARE)]),
    ),
    "tiny_object": (thing(5, (10, 10, 42, 11)), thing(5, (10, 10, 42, 12))),
    "empty_object": (
        thing(5, (10, 10, 42, 42), [[10, 10, 42, 42, 10, 10]]),
        thing(5, (10, 10, 42, 42), [[10, 10, 42, 42, 10, 42]]),
    ),
    "self_crossing": (thing(5, SQUARE, [BOW]), thing(5, SQUARE, [BRIDGED])),
    "boxes_only": (thing(5, outline=None), thing(5)),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_faults_of_one_object(tmp_path, kind):
    faulty, fine = FAULTS[kind]
    (finding,) = found(tmp_path, faulty, kind=kind)
    assert finding.annotation_ids == (5,)
    assert [(p.split, p.image_id) for p in finding.pictures] == [("data", 77)]
    assert found(tmp_path, fine, kind=kind) == []


def test_what_is_measured(tmp_path):
    (finding,) = found(tmp_path, FAULTS["outline_outside"][0], kind="outline_outside")
    assert finding.numbers == {"pixels": 5.0}
    (finding,) = found(tmp_path, FAULTS["box_disagrees"][0], kind="box_disagrees")
    assert finding.numbers == {"pixels": 8.0}
    (finding,) = found(tmp_path, FAULTS["tiny_object"][0], kind="tiny_object")
    assert finding.numbers == {"width": 32.0, "height": 1.0}


def test_outlines_of_no_pixel_or_elsewhere_are_empty(tmp_path):
    nothing = Bitmap(np.zeros((4, 4), bool))
    away = [loop((100, 100, 120, 120))]
    for outline in (nothing, away, RLE((60, 80), [4800])):
        assert len(found(tmp_path, thing(5, outline=outline), kind="empty_object")) == 1
    assert len(found(tmp_path, thing(5, (10, 10, 10, 42), None), kind="empty_object")) == 1
    # Walked twice, it encloses nothing by the even-odd rule.
    twice = [loop(SQUARE) * 2]
    assert len(found(tmp_path, thing(5, outline=twice), kind="empty_object")) == 1
    one_pixel = Bitmap(np.ones((1, 1), bool), 79, 59)
    assert found(tmp_path, thing(5, (79, 59, 80, 60), one_pixel), kind="empty_object") == []
    assert len(found(tmp_path, thing(5, (79, 59, 80, 60), one_pixel), kind="tiny_object")) == 1


@pytest.mark.parametrize(
    ("groups", "count"),
    [
        ([[BOW]], 1),
        ([[BRIDGED]], 0),
        ([[loop(SQUARE)]], 0),
        # A pentagram: each of five edges crosses two others.
        ([[[0, 10, 20, 10, 3, 22, 10, 2, 17, 22]]], 5),
        # A vertex on another edge, and a spike that is walked back: touching is no crossing.
        ([[[0, 0, 10, 0, 10, 10, 5, 0, 0, 10]]], 0),
        ([[[0, 0, 10, 0, 20, 0, 10, 0, 10, 10]]], 0),
        # Hole and border of one polygon cross; two parts of a union may.
        ([[loop((0, 0, 10, 10)), loop((5, 5, 15, 15))]], 2),
        ([[loop((0, 0, 10, 10))], [loop((5, 5, 15, 15))]], 0),
        # The same point twice.
        ([[[0, 0, 0, 0, 10, 0, 10, 10]]], 0),
    ],
)
def test_crossings_by_hand(groups, count, monkeypatch):
    arrays = [[np.array(part, float).reshape(-1, 2) for part in group] for group in groups]
    assert crossings(Polygons.from_loops(arrays)) == count
    monkeypatch.setattr("keras_maskrcnn.doctor.checks.outlines._PAIRS", 1)
    assert crossings(Polygons.from_loops(arrays)) == count
    assert crossings(Bitmap(np.eye(4, dtype=bool))) == 0


def test_duplicated_objects(tmp_path):
    twins = [thing(5), thing(6, np.add(SQUARE, 0.5)), thing(7)]
    finding, other = found(tmp_path, *twins, kind="duplicated_object")
    assert {finding.annotation_ids, other.annotation_ids} == {(5, 6), (5, 7)}
    assert found(tmp_path, thing(5), thing(6, np.add(SQUARE, 8)), kind="duplicated_object") == []
    # The same box around other things: the two halves of a square.
    upper = thing(5, outline=[[10, 10, 42, 10, 10, 42]])
    lower = thing(6, outline=[[42, 42, 42, 10, 10, 42]])
    assert found(tmp_path, upper, lower, kind="duplicated_object") == []
    assert found(tmp_path, thing(5), thing(6, outline=None), kind="duplicated_object") == []
    boxes = thing(5, outline=None), thing(6, outline=None)
    assert len(found(tmp_path, *boxes, kind="duplicated_object")) == 1


def test_one_object_with_two_classes(tmp_path):
    pair = thing(5), thing(6, category=1)
    (finding,) = found(tmp_path, *pair, kind="two_classes")
    assert finding.annotation_ids == (5, 6) and "as cat and as horse" in finding.words
    assert found(tmp_path, *pair, kind="duplicated_object") == []
    assert found(tmp_path, thing(5), thing(6), kind="two_classes") == []


def test_overlaps_by_hand():
    # 10 x 10 moved by 5: 50 of 150.
    boxes = [(0, 0, 10, 10), (5, 0, 15, 10), (0, 0, 10, 10), (50, 50, 50, 50)]
    assert overlapping(boxes, 0.33) == [(0, 1), (0, 2), (1, 2)]
    assert overlapping(boxes, 0.34) == [(0, 2)]
    assert overlapping([], 0.5) == []
    many = [(20 * k, 0, 20 * k + 10, 10) for k in range(300)]
    assert overlapping([*many, many[299], many[0]], 0.9) == [(0, 301), (299, 300)]
    half = thing(2, (0, 0, 10, 5))
    assert outline_overlap(thing(1, (0, 0, 10, 10)), half) == pytest.approx(0.5)


def test_crowded_pictures(tmp_path):
    def grid(count):
        return [
            thing(k, (x, y, x + 5, y + 5))
            for k in range(count)
            for x, y in [(7 * (k % 11), 5.5 * (k // 11))]
        ]

    (finding,) = found(tmp_path, *grid(101), kind="crowded_picture")
    assert finding.numbers == {"objects": 101}
    assert found(tmp_path, *grid(100), kind="crowded_picture") == []


def test_objects_that_suppression_would_lose(tmp_path):
    # 32 wide, moved by 10: 22 of 42 is more than half; by 11: 21 of 43 is less.
    pair = [thing(5), thing(6, np.add(SQUARE, (10, 0, 10, 0)))]
    (finding,) = found(tmp_path, *pair, kind="hidden_by_neighbours")
    assert finding.annotation_ids == (6,)
    apart = thing(6, np.add(SQUARE, (11, 0, 11, 0)))
    other = thing(6, np.add(SQUARE, (10, 0, 10, 0)), category=1)
    for second in (apart, other, thing(6)):
        assert found(tmp_path, thing(5), second, kind="hidden_by_neighbours") == []


def test_objects_that_vanish(tmp_path):
    """Of 60 x 80 pixels 15 x 20 are left: a quarter."""
    small = thing(5, (10, 10, 25, 25)), thing(6, (30, 10, 46, 26)), thing(7, (50, 50, 53, 53))
    size = InputSize(15, 1000)
    # 15 / 4 is less than 4 and 16 / 4 is not; what is small on disk does not vanish.
    (finding,) = found(tmp_path, *small, kind="vanishing_objects", input_size=size)
    assert finding.annotation_ids == (5,) and finding.numbers == {"objects": 1, "scale": 0.25}
    assert "20 x 15 of 80 x 60 pixels" in finding.words
    assert found(tmp_path, *small, kind="vanishing_objects") == []
    larger = InputSize(120, 1000)
    assert found(tmp_path, *small, kind="vanishing_objects", input_size=larger) == []
    # In tiles, nothing is made smaller; in those of a quarter as above.
    tiles = {"input_size": size, "tile": 32}
    assert found(tmp_path, *small, kind="vanishing_objects", **tiles) == []
    tiles["tile"] = Tiling(32, 4, (0.25, 0.125))
    assert found(tmp_path, *small, kind="vanishing_objects", **tiles) == [finding]
