"""Data sets and records that show themselves."""

import numpy as np
import pytest
from doctor_data import data_of, pixels, record, save, thing

from keras_maskrcnn import notebook
from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.visualize import draw_instances

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def data(tmp_path):
    """Six pictures; every other one has an object."""
    records = [
        record(
            k,
            save(tmp_path / f"{k}.png", pixels(k)),
            [thing(k, (8, 8, 40, 40))] if k % 2 else [],
        )
        for k in range(6)
    ]
    return data_of(records, [HOSTILE])


@pytest.fixture
def shown(monkeypatch):
    images = []
    monkeypatch.setattr(notebook, "show", images.append)
    return images


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (1, [1]),
        (-1, [5]),
        (slice(4, None), [4, 5]),
        ([3, 0], [3, 0]),
        (np.arange(6) % 3 == 0, [0, 3]),
        ([], []),
    ],
)
def test_indexing(data, index, expected):
    data.warnings = ["left out"]
    part = data[index]
    assert isinstance(part, DetectionData) and part.class_names == data.class_names
    assert [r.image_id for r in part.records] == expected
    assert part.max_objects == 1 and part.warnings == ["left out"]


def test_iteration_and_errors(data):
    assert [part.records[0].image_id for part in data] == list(range(6))
    with pytest.raises(IndexError, match="index 6 is out of range for 6 pictures"):
        data[6]
    with pytest.raises(ValueError, match="none in the data set"):
        data[[]].plot()
    with pytest.raises(ValueError, match="count=0"):
        data.plot(0)


def test_records(data, shown):
    one = data.records[1]
    image = pixels(1)
    drawn = one.plot(["nut"])
    np.testing.assert_array_equal(np.asarray(drawn), draw_instances(image, one, ["nut"]))
    np.testing.assert_array_equal(np.asarray(one.plot()), draw_instances(image, one, ["class_0"]))
    one.show(["nut"])
    assert max(shown[0].shape) == 400
    height, width = image.shape[:2]
    assert repr(one) == (
        f"ImageRecord(image_id=1, path={one.path!r}, height={height}, width={width}, objects=1)"
    )
    html = one._repr_html_()
    assert html.count("<img ") == 1 and html.count("<tr>") == 2 and "class_0" in html


def test_a_page_has_pictures_with_something_to_see(data, shown):
    page = data.plot(2, columns=1, tile=300)
    tile = data[1].plot(1, tile=300)
    other = data[5].plot(1, tile=300)
    joined = np.concatenate([np.asarray(tile), np.asarray(other)])
    np.testing.assert_array_equal(np.asarray(page), joined)
    # Few are shown as they are.
    np.testing.assert_array_equal(
        np.asarray(data[[0, 1]].plot(2)), np.asarray(data[[0, 1]].plot(8))
    )
    data.show(2)
    data.show()
    assert shown[0].shape[1] == 2 * 600 + 3 * 16 and shown[1].shape[1] == 4 * 320 + 5 * 16


def test_a_picture_that_cannot_be_read_is_grey_and_said(data, tmp_path):
    (tmp_path / "1.png").write_bytes(b"no picture")
    page = np.asarray(data[1].plot(tile=300))
    height = round(data.records[1].height * 300 / data.records[1].width)
    assert (page[30 : 30 + height, 16:316] == (225, 225, 230)).all()
    assert (page[:30] < 200).any()
    html = data.records[1]._repr_html_()
    assert "Without the picture: Image id 1" in html and "<img" not in html
    with pytest.raises(ValueError, match=r"1\.png"):
        data.records[1].plot()


def test_html(data):
    data.warnings = [f"annotation id {k}: {HOSTILE}" for k in range(12)]
    data.notes = ["orientation: stored"]
    html = data._repr_html_()
    assert "<script" not in html and html.count("<img ") == 1
    cells = [part.split("<")[0] for part in html.split(">")]
    head = ["pictures", "without objects", "objects", "items left out"]
    assert cells[cells.index("pictures") :][: 2 * len(head) : 2] == head
    assert [cells[cells.index("6") :][k] for k in (0, 2, 4, 6)] == ["6", "3", "3", "12"]
    assert "Items left out (12)" in html and "and 2 more" in html
    assert "Notes of the reader (1)" in html and "keypoints" not in html
    assert len(html) < 500_000
    many = data_of(data.records, [f"class {k}" for k in range(40)])._repr_html_()
    assert "<summary>40 classes</summary>" in many
    empty = data[[]]._repr_html_()
    assert "<img" not in empty


def test_only_the_part_around_an_object_is_drawn(tmp_path):
    """The same pixels as of an outline that is drawn in the whole picture."""
    image = np.zeros((90, 120, 3), np.uint8)
    things = [thing(1, (-5.5, 3.25, 20.75, 33.5)), thing(2, (60.4, 50.6, 119.9, 95))]
    one = record(1, save(tmp_path / "a.png", image), things, image.shape[:2])
    drawn = draw_instances(image, one, ["a"], boxes=False, labels=False, color_by="class")
    whole = np.zeros((90, 120), bool)
    for instance in one.instances:
        whole |= instance.outline.draw_whole(90, 120) > 0
    np.testing.assert_array_equal(drawn.any(axis=-1), whole)
