"""Detections in the forms of other tools, by numbers worked by hand."""

import csv
import io
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from keras_maskrcnn.results import Detections


def make(count=2, masks=True, keypoints=False):
    boxes = np.array([[10, 20, 40, 60], [50.5, 5, 70.5, 35]], "float32")[:count]
    return Detections(
        boxes=boxes,
        classes=np.array([1, 0])[:count],
        scores=np.array([0.75, 0.5])[:count],
        mask_probabilities=np.ones((count, 28, 28)) if masks else None,
        image_size=(80, 90),
        class_names=["cat", "dog"],
        keypoints=np.arange(count * 6.0).reshape(count, 2, 3) if keypoints else None,
    )


def test_table_by_hand():
    # The second box covers the centres of columns 51..69; those of 50 and 70 lie on its very edges,
    # where a full mask has fallen to one half, which still counts, but not in the four corners,
    # where it also begins to fall towards the top and the bottom.
    table = make().to_table()
    assert table == {
        "name": ["dog", "cat"],
        "class_index": [1, 0],
        "score": [0.75, 0.5],
        "x1": [10.0, 50.5],
        "y1": [20.0, 5.0],
        "x2": [40.0, 70.5],
        "y2": [60.0, 35.0],
        "mask_pixels": [30 * 40, 21 * 30 - 4],
    }
    assert table["mask_pixels"] == make().masks.sum(axis=(1, 2)).tolist()


def test_table_goes_where_tables_go():
    table = make(masks=False).to_table()
    assert json.loads(json.dumps(table)) == table
    assert "mask_pixels" not in table
    file = io.StringIO()
    csv.writer(file).writerows([table, *zip(*table.values(), strict=True)])
    assert file.getvalue().splitlines()[1] == "dog,1,0.75,10.0,20.0,40.0,60.0"
    assert all(column == [] for column in make(0).to_table().values())


def test_table_makes_a_data_frame():
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    frame = pandas.DataFrame(make().to_table())
    assert frame.shape == (2, 8)
    assert frame[frame.name == "cat"].mask_pixels.tolist() == [626]


class _DocumentedDetections:
    """The constructor that the documentation of supervision gives."""

    def __init__(
        self, xyxy, mask=None, confidence=None, class_id=None, tracker_id=None, data=None
    ) -> None:
        self.__dict__ = {k: v for k, v in locals().items() if k != "self"}


@pytest.mark.parametrize("package", ["documented", "installed"])
def test_supervision(package, monkeypatch):
    if package == "installed":
        pytest.importorskip("supervision", reason="needs supervision")
    else:
        documented = SimpleNamespace(Detections=_DocumentedDetections)
        monkeypatch.setitem(sys.modules, "supervision", documented)
    for count in (2, 0):
        found = make(count)
        converted = found.to_supervision()
        np.testing.assert_array_equal(converted.xyxy, found.boxes)
        np.testing.assert_array_equal(converted.mask, found.masks)
        np.testing.assert_array_equal(converted.confidence, found.scores)
        np.testing.assert_array_equal(converted.class_id, found.classes)
        assert converted.mask.shape == (count, 80, 90)
        assert converted.data["class_name"].tolist() == ["dog", "cat"][:count]
        assert np.issubdtype(converted.class_id.dtype, np.integer)
    assert make(masks=False).to_supervision().mask is None
    if package == "installed":
        assert converted.is_empty()
        two = make().to_supervision()
        np.testing.assert_array_equal(two.area, [1200, 626])
        assert two[two.confidence > 0.6].data["class_name"].tolist() == ["dog"]


def test_supervision_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(ImportError, match="pip install supervision"):
        make().to_supervision()


def test_labelme_rectangles_and_points_by_hand():
    content = json.loads(json.dumps(make(masks=False, keypoints=True).to_labelme("../a.jpg")))
    assert content["imagePath"] == "../a.jpg"
    assert content["imageData"] is None
    assert (content["imageHeight"], content["imageWidth"]) == (80, 90)
    assert [shape["shape_type"] for shape in content["shapes"]] == ["rectangle", *["point"] * 2] * 2
    assert content["shapes"][3] == {
        "label": "cat",
        "points": [[50.5, 5.0], [70.5, 35.0]],
        "group_id": 1,
        "description": "score 0.500",
        "shape_type": "rectangle",
        "flags": {},
        "mask": None,
    }
    point = content["shapes"][2]
    assert (point["label"], point["points"], point["group_id"]) == ("dog_keypoint_1", [[3, 4]], 0)
    assert point["description"] == "score 5.000"
    assert make(0).to_labelme("a.jpg")["shapes"] == []


def test_labelme_polygons_drawn_again_are_the_masks(tmp_path):
    y, x = np.mgrid[-1:1:28j, -1:1:28j]
    radius = np.hypot(x, y)
    found = Detections(
        boxes=np.array([[20, 30, 180, 150], [100.3, 10.8, 230.2, 190.9], [5, 5, 25, 25]]),
        classes=np.array([0, 1, 1]),
        scores=np.array([0.9, 0.8, 0.1]),
        mask_probabilities=np.stack([radius < 0.9, (radius < 0.95) & (radius > 0.4), radius > 9]),
        image_size=(200, 240),
        class_names=["cat", "dog"],
    )
    content = found.to_labelme(tmp_path / "a.jpg")
    json.dumps(content)
    kinds = [(s["group_id"], s["shape_type"]) for s in content["shapes"]]
    # The third mask has no pixel; its box must not be lost.
    assert kinds == [(0, "polygon"), (1, "polygon"), (2, "rectangle")]
    for shape, mask in zip(content["shapes"][:2], found.masks, strict=False):
        drawn = Image.new("1", (240, 200))
        points = [tuple(point) for point in shape["points"]]
        ImageDraw.Draw(drawn).polygon(points, outline=1, fill=1)
        assert (mask & drawn).sum() / (mask | drawn).sum() > 0.95
