"""Everything that a format cannot hold is counted and told; nothing else is."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest
from format_files import drawn, load
from PIL import Image
from written_scenes import instance, make_dataset, plain_objects, ring

from keras_maskrcnn.data import WRITERS, save_dataset
from keras_maskrcnn.outlines import Bitmap, Polygons

NAME = "ü b c.jpg"
KEYPOINTS = np.array([[5.5, 6.5, 2.0], [0, 0, 0]], np.float32)
CROWD = "crowd region is left out"
RECTANGLE = "box without outline is a rectangle, which is an outline"
POINTS = "keypoints are left out"
RIPE = "attribute 'ripe' is left out"
BRIDGES = "parts and holes are joined by bridges of no width"
HOLES = "holes are joined to their outline by bridges of no width"
TRACED = "mask is traced along its pixels' edges"
NEW_NAME = "picture has a new name"
DRAWN = "outline is drawn into pixels"

PLAIN = {
    "coco": {HOLES: 1},
    "cvat": {HOLES: 1},
    "label_studio": {BRIDGES: 2},
    "labelme": {HOLES: 1},
    "tfrecord": {},
    "voc": {NEW_NAME: 1, DRAWN: 5},
    "yolo": {BRIDGES: 3, TRACED: 3},
}
AWKWARD = {
    "coco": {},
    "cvat": {CROWD: 1, RECTANGLE: 1, POINTS: 1},
    "label_studio": {
        **{CROWD: 1, RECTANGLE: 1, POINTS: 1, RIPE: 1},
        "parts that overlap are drawn, and traced along the pixels' edges": 1,
        "outline is cut where it leaves its picture": 1,
    },
    "labelme": {CROWD: 1, RECTANGLE: 1},
    "tfrecord": {},
    "voc": {
        **{"crowd region is void": 1, POINTS: 1, RIPE: 1, NEW_NAME: 1, DRAWN: 4},
        "box without outline is in the XML only, beside masks": 1,
    },
    "yolo": {
        **{CROWD: 1, POINTS: 1, RIPE: 1},
        "parts that overlap are drawn, and traced along the pixels' edges": 1,
        "outline is cut where it leaves its picture": 1,
    },
}


def awkward():
    overlapping = [ring(10, 30, 30, 50).ravel().tolist(), ring(20, 40, 40, 55).ravel().tolist()]
    leaving = Polygons([ring(60, 30, 90, 40).ravel().tolist()])
    return [
        instance(1, Polygons(overlapping)),
        instance(2, None, 1, (50.5, 45.0, 70.0, 58.25)),
        instance(3, Bitmap(np.ones((5, 30), bool), 45, 2).to_rle(60, 80), is_crowd=True),
        instance(4, Polygons([[2, 2, 9, 2, 9, 9]]), keypoints=KEYPOINTS),
        instance(5, leaving, 0, (60.0, 30.0, 80.0, 40.0)),
        instance(6, Polygons([[15, 2, 29, 2, 29, 9]]), attributes={"ripe": 1.0}),
    ]


def save(tmp_path, name, objects, **more):
    data = make_dataset(tmp_path / "from", {NAME: objects}, **more)
    return save_dataset(data, tmp_path / "to", name, verbose=False)


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_plain_objects(tmp_path, name):
    data = make_dataset(tmp_path / "from")
    saved = save_dataset(data, tmp_path / "to", name, verbose=False)
    assert saved.reasons == PLAIN[name]
    assert len(saved.losses) == sum(PLAIN[name].values())


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_awkward_objects(tmp_path, name):
    saved = save(tmp_path, name, awkward(), keypoint_names=["stem", "tip"])
    assert saved.reasons == AWKWARD[name]
    crowds = [line for line in saved.losses if "crowd" in line]
    assert len(crowds) == (name not in ("coco", "tfrecord"))
    assert all(", object 3: crowd region is" in line for line in crowds)
    # LabelMe's points are no regions, and our reader says so.
    lines = ["shape is no region"] if name == "labelme" else []
    record = load(tmp_path / "to", *lines).records[0]
    assert len(record.objects) == (4 if name == "voc" else 5)
    assert len(record.crowds) == (name in ("coco", "tfrecord"))
    union = drawn(record.objects[0])
    np.testing.assert_array_equal(union, awkward()[0].outline.draw_whole(60, 80) > 0)
    if name in ("coco", "tfrecord", "yolo"):
        assert record.objects[1].outline is None
    if name != "voc":
        np.testing.assert_allclose(record.objects[1].box, (50.5, 45.0, 70.0, 58.25))


def test_coco_keeps_keypoints_crowds_and_attributes(tmp_path):
    save(tmp_path, "coco", awkward(), keypoint_names=["stem", "tip"])
    content = json.loads((tmp_path / "to" / "annotations" / "instances_train.json").read_text())
    # Whole pixels from 0: half a pixel less; what is not labelled stays 0.
    assert content["annotations"][3]["keypoints"] == [5.0, 6.0, 2.0, 0.0, 0.0, 0.0]
    assert content["annotations"][3]["num_keypoints"] == 1
    assert content["annotations"][5]["attributes"] == {"ripe": 1.0}
    assert [a["iscrowd"] for a in content["annotations"]] == [0, 0, 1, 0, 0, 0]
    assert content["categories"] == [
        {"id": 3, "name": "red fig", "keypoints": ["stem", "tip"], "skeleton": []},
        {"id": 7, "name": "Birne ä"},
    ]
    data = load(tmp_path / "to")
    np.testing.assert_array_equal(data.records[0].objects[2].keypoints, KEYPOINTS)
    assert data.keypoint_names == ["stem", "tip"]


def test_coco_ids_that_cannot_stay(tmp_path):
    data = make_dataset(tmp_path / "from", {NAME: plain_objects()[NAME][:2] * 2})
    data.category_ids = [7, 3]
    saved = save_dataset(data, tmp_path / "to", "coco", verbose=False)
    assert saved.reasons == {"category ids are counted from 1 in new order": 1}
    again = load(tmp_path / "to")
    assert again.class_names == data.class_names and again.category_ids == [1, 2]
    assert [o.annotation_id for o in again.records[0].instances] == [1, 2, 3, 4]


def test_labelme_points_by_hand(tmp_path):
    save(tmp_path, "labelme", awkward(), keypoint_names=["stem", "tip"])
    shapes = json.loads((tmp_path / "to" / "ü b c.json").read_text())["shapes"]
    (point,) = [s for s in shapes if s["shape_type"] == "point"]
    assert (point["label"], point["points"], point["group_id"]) == ("red fig_stem", [[5.5, 6.5]], 3)
    assert point["description"] == "visibility 2"
    assert shapes[-1]["description"] == "ripe 1.000"


def test_cvat_attributes_by_hand(tmp_path):
    save(tmp_path, "cvat", awkward())
    root = ElementTree.parse(tmp_path / "to" / "annotations.xml")
    names = root.findall("meta/task/labels/label/attributes/attribute/name")
    assert [e.text for e in names] == ["ripe", "ripe"]
    assert [(e.get("name"), e.text) for e in root.iterfind("image/*/attribute")] == [
        ("ripe", "1.0")
    ]


def test_holes_run_the_other_way_round(tmp_path):
    # By the non-zero rule too, of which the signed area is the sum, the hole is empty.
    save(tmp_path, "yolo", plain_objects()[NAME][2:4])
    for line, expected in zip(
        (tmp_path / "to" / "labels" / "ü b c.txt").read_text().splitlines(),
        (20 * 20 - 10 * 9, 12 * 8 - 9 + 5 * 8),
        strict=True,
    ):
        x, y = (np.reshape([float(v) for v in line.split()[1:]], (-1, 2)) * (80, 60)).T
        assert np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) / 2 == pytest.approx(expected)


def square(key, x, y, side):
    return instance(key, Polygons([ring(x, y, x + side, y + side).ravel().tolist()]))


def test_voc_smaller_ones_are_on_top(tmp_path):
    objects = [square(1, 2, 2, 10), square(2, 0, 0, 30), square(3, 40, 20, 10)]
    objects += [square(4, 40, 20, 10), square(5, 60.2, 40.2, 0.2)]
    saved = save(tmp_path, "voc", objects)
    ids = np.asarray(Image.open(tmp_path / "to" / "SegmentationObject" / "ü_b_c.png"))
    assert np.bincount(ids.ravel())[1:].tolist() == [100, 800, 0, 100]
    assert saved.losses[-2:] == [
        "ü_b_c.jpg, object 2: object loses the pixels that smaller ones cover",
        "ü_b_c.jpg, object 3: object is left out, for others cover all of it",
    ]
    assert "ü_b_c.jpg, object 5: outline covers no pixel, so only its box is kept" in saved.losses
    assert len(load(tmp_path / "to").records[0].objects) == 3


def test_voc_crowds_are_void_and_boxes_alone_need_no_masks(tmp_path):
    crowd = instance(1, None, 0, (1.5, 2.0, 4.0, 6.0), is_crowd=True)
    save(tmp_path, "voc", [crowd, square(2, 3, 3, 10)])
    for kind, value in (("SegmentationObject", 1), ("SegmentationClass", 1)):
        values = np.asarray(Image.open(tmp_path / "to" / kind / "ü_b_c.png"))
        assert values[2, 1] == 255 and values[5, 1] == 255 and values[6, 1] == 0
        assert values[3, 3] == value  # The object lies on the crowd.
    only = instance(3, None, 1, (1.5, 2.0, 4.0, 6.0))
    data = make_dataset(tmp_path / "from", {NAME: [only]})
    assert save_dataset(data, tmp_path / "boxes", "voc", verbose=False).reasons == {NEW_NAME: 1}
    assert not any((tmp_path / "boxes" / "SegmentationObject").iterdir())
    (o,) = load(tmp_path / "boxes").records[0].objects
    assert (o.box, o.outline) == ((1.5, 2.0, 4.0, 6.0), None)


def test_voc_more_objects_than_a_byte_counts(tmp_path):
    objects = [square(k + 1, 2 * (k % 40), 2 * (k // 40), 1) for k in range(300)]
    save(tmp_path, "voc", objects)
    ids = np.asarray(Image.open(tmp_path / "to" / "SegmentationObject" / "ü_b_c.png"))
    assert ids.max() == 301 and not (ids == 255).any()
    assert len(load(tmp_path / "to").records[0].objects) == 300
