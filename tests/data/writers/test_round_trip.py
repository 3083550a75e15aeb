"""What is written is read back as it was; and is what others read in it."""

import base64
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from format_files import drawn, load, outline_of
from PIL import Image, ImageDraw
from pycocotools.coco import COCO
from written_scenes import CLASSES, SIZES, make_dataset, plain_objects

from keras_maskrcnn.data import WRITERS, load_dataset, save_dataset
from keras_maskrcnn.data.formats.brush import decode_brush
from keras_maskrcnn.data.writers.brush import encode_brush

POLYGONS = ("coco", "cvat", "label_studio", "labelme", "tfrecord", "yolo")
PARTS = ("coco", "cvat", "labelme", "tfrecord")
# A format reads what it has in the order of names, and VOC has no spaces in them.
NAMES = {name.replace(" ", "_"): name for name in SIZES}


def originals():
    return {
        name: [(drawn_at(o, name), o) for o in objects] for name, objects in plain_objects().items()
    }


def drawn_at(o, name):
    return o.outline.draw_whole(*SIZES[name]) > 0


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.fixture(params=sorted(WRITERS))
def written(request, tmp_path):
    """A format, where it was written, and what was read back."""
    data = make_dataset(tmp_path / "from")
    folder = tmp_path / "to"
    save_dataset(data, folder, request.param, verbose=False)
    return request.param, folder, load(folder)


def test_pictures_classes_and_masks(written):
    name, folder, data = written
    assert sorted(data.class_names) == sorted(CLASSES)
    if name not in ("labelme", "label_studio"):  # These name no classes.
        assert data.class_names == CLASSES
    found = {NAMES[Path(r.path).name.replace(" ", "_")]: r for r in data.records}
    assert {name: (r.height, r.width) for name, r in found.items()} == SIZES
    for picture, objects in originals().items():
        record = found[picture]
        assert Path(record.path).is_relative_to(folder)
        assert len(record.instances) == len(objects)
        masks = [drawn(o, *SIZES[picture]) > 0 for o in record.instances]
        for mask, o in objects:
            scores = [overlap(mask, other) for other in masks]
            best = int(np.argmax(scores))
            assert scores[best] >= 0.999, (picture, o.annotation_id)
            again = record.instances[best]
            assert data.class_names[again.category] == CLASSES[o.category]
            np.testing.assert_allclose(again.box, o.box, atol=1.0 if name == "voc" else 1e-6)
            if name in POLYGONS and o.annotation_id in (1, 6, 7):
                np.testing.assert_allclose(outline_of(again), outline_of(o), rtol=0, atol=1e-6)
            if name in PARTS and o.annotation_id == 2:
                for part, expected in zip(outline_of(again), outline_of(o), strict=True):
                    np.testing.assert_allclose(part, expected, rtol=0, atol=1e-6)


def test_splits_keep_their_pictures(written, tmp_path):
    name = written[0]
    data = make_dataset(tmp_path / "from")
    objects = plain_objects()
    # A picture of each split has the same name.
    other = make_dataset(tmp_path / "from2", {"d.JPG": objects["d.JPG"], "ü b c.jpg": []})
    saved = save_dataset({"train": data, "val": other}, tmp_path / "two", name, verbose=False)
    assert saved.pictures == 5
    names = {"class_names": CLASSES}
    train = load_dataset(tmp_path / "two", split="train", on_error="raise", verbose=False, **names)
    val = load_dataset(tmp_path / "two", split="val", on_error="raise", verbose=False, **names)
    assert [len(r.objects) for r in train.records] in ([6, 0, 2], [2, 0, 6])
    assert sorted(len(r.objects) for r in val.records) == [0, 2]
    pictures = [r.path for part in (train, val) for r in part.records]
    assert len(set(pictures)) == 5
    assert {"picture has a new name" in saved.reasons} == {name == "voc"}


def test_coco_by_pycocotools(tmp_path, capsys):
    data = make_dataset(tmp_path / "from")
    save_dataset(data, tmp_path / "to", verbose=False)
    coco = COCO(tmp_path / "to" / "annotations" / "instances_train.json")
    capsys.readouterr()
    assert [(c["id"], c["name"]) for c in coco.loadCats([3, 7])] == [
        (3, CLASSES[0]),
        (7, "Birne ä"),
    ]
    names = [image["file_name"] for image in coco.loadImgs([10, 11, 12])]
    assert names == list(SIZES)
    for image_id, (name, objects) in enumerate(originals().items(), 10):
        entries = coco.loadAnns(coco.getAnnIds([image_id]))
        assert [e["id"] for e in entries] == [o.annotation_id for _, o in objects]
        for entry, (mask, o) in zip(entries, objects, strict=True):
            np.testing.assert_array_equal(coco.annToMask(entry), mask, name)
            assert entry["area"] == o.area and entry["iscrowd"] == 0
            x, y, width, height = entry["bbox"]
            np.testing.assert_allclose([x, y, x + width, y + height], o.box)


def test_yolo_by_hand(tmp_path):
    save_dataset(make_dataset(tmp_path / "from"), tmp_path / "to", "yolo", verbose=False)
    folder = tmp_path / "to"
    assert (folder / "data.yaml").read_text(encoding="utf-8") == (
        "train: images\nnames:\n  0: red fig\n  1: Birne ä\n"
    )
    assert (folder / "labels" / "empty.txt").read_text() == ""
    lines = (folder / "labels" / "ü b c.txt").read_text().splitlines()
    # The one pixel of the sixth object, of a picture of 60 x 80.
    expected = [5 / 80, 40 / 60, 6 / 80, 40 / 60, 6 / 80, 41 / 60, 5 / 80, 41 / 60]
    assert [float(v) for v in lines[5].split()] == [0, *expected]
    for line, (mask, _) in zip(lines, originals()["ü b c.jpg"], strict=True):
        assert not set(line) - set("0123456789.e- ")
        points = np.reshape([float(v) for v in line.split()[1:]], (-1, 2)) * (80, 60)
        if mask.sum() > 10:
            # Pillow draws in whole pixels: the area tells that parts and holes are there.
            x, y = points.T
            area = abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) / 2)
            assert abs(area - mask.sum()) < 0.05 * mask.sum()


def test_labelme_by_the_standard_library(tmp_path):
    save_dataset(make_dataset(tmp_path / "from"), tmp_path / "to", "labelme", verbose=False)
    content = json.loads((tmp_path / "to" / "ü b c.json").read_text(encoding="utf-8"))
    assert (content["imagePath"], content["imageHeight"], content["imageWidth"]) == (
        *("ü b c.jpg", 60, 80),
    )
    shapes = content["shapes"]
    assert [s["shape_type"] for s in shapes] == [*["polygon"] * 4, "mask", "mask", "polygon"]
    assert [s["group_id"] for s in shapes] == [0, 1, 1, 2, 3, 4, 5]
    assert shapes[0]["points"] == [[10.25, 10.5], [30.5, 12.1234567890123], [20.0, 25.75]]
    mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(shapes[4]["mask"]))))
    (left, top), (right, bottom) = np.array(shapes[4]["points"], int)
    whole = np.zeros((60, 80), bool)
    whole[top : bottom + 1, left : right + 1] = mask
    np.testing.assert_array_equal(whole, originals()["ü b c.jpg"][3][0])


def test_cvat_by_the_standard_library(tmp_path):
    save_dataset(make_dataset(tmp_path / "from"), tmp_path / "to", "cvat", verbose=False)
    root = ElementTree.parse(tmp_path / "to" / "annotations.xml").getroot()
    assert [e.text for e in root.iterfind("meta/task/labels/label/name")] == CLASSES
    image = root.find("image")
    assert image.attrib == {"id": "0", "name": "ü b c.jpg", "width": "80", "height": "60"}
    assert [e.tag for e in image] == [*["polygon"] * 4, "mask", "mask", "polygon"]
    assert [e.get("group_id") for e in image] == [None, "2", "2", None, None, None, None]
    assert image[0].get("points") == "10.25,10.5;30.5,12.1234567890123;20.0,25.75"
    whole = np.zeros((60, 80), bool)
    mask = image[4]
    left, top, width, height = (int(mask.get(k)) for k in ("left", "top", "width", "height"))
    bits = []
    for k, run in enumerate(mask.get("rle").split(",")):
        bits += [k % 2 == 1] * int(run)
    whole[top : top + height, left : left + width] = np.reshape(bits, (height, width))
    np.testing.assert_array_equal(whole, originals()["ü b c.jpg"][3][0])


def test_voc_by_the_standard_library(tmp_path):
    save_dataset(make_dataset(tmp_path / "from"), tmp_path / "to", "voc", verbose=False)
    folder = tmp_path / "to"
    ids = np.asarray(Image.open(folder / "SegmentationObject" / "ü_b_c.png"))
    classes = np.asarray(Image.open(folder / "SegmentationClass" / "ü_b_c.png"))
    for number, (mask, o) in enumerate(originals()["ü b c.jpg"], 1):
        np.testing.assert_array_equal(ids == number, mask)
        assert (classes[mask] == o.category + 1).all()
    assert not classes[ids == 0].any()
    # VOC's own colours of the values 1, 2 and 255.
    palette = np.reshape(Image.open(folder / "SegmentationClass" / "d.png").getpalette(), (-1, 3))
    assert palette[[1, 2, 255]].tolist() == [[128, 0, 0], [0, 128, 0], [224, 224, 192]]
    assert (folder / "labelmap.txt").read_text(encoding="utf-8").splitlines()[1:] == [
        *("background:0,0,0::", "red fig:128,0,0::", "Birne ä:0,128,0::"),
    ]
    root = ElementTree.parse(folder / "Annotations" / "ü_b_c.xml").getroot()
    assert root.findtext("filename") == "ü_b_c.jpg" and root.findtext("segmented") == "1"
    assert [o.findtext("name") for o in root.iterfind("object")][:2] == CLASSES
    # The last object is the one pixel x 5, y 40, of which both ends are pixel (6, 41) from 1.
    box = root.findall("object")[5].find("bndbox")
    assert [(e.tag, e.text) for e in box] == [
        *(("xmin", "6"), ("ymin", "41"), ("xmax", "6"), ("ymax", "41")),
    ]


def test_label_studio_by_the_standard_library(tmp_path):
    save_dataset(make_dataset(tmp_path / "from"), tmp_path / "to", "label_studio", verbose=False)
    tasks = json.loads((tmp_path / "to" / "tasks.json").read_text(encoding="utf-8"))
    assert [sorted(task) for task in tasks] == [["annotations", "data", "id"]] * 3
    assert tasks[0]["data"]["image"] == "/data/local-files/?d=images/%C3%BC%20b%20c.jpg"
    results = tasks[0]["annotations"][0]["result"]
    kinds = ["polygonlabels"] * 3 + ["brushlabels"] * 2 + ["polygonlabels"]
    assert [r["type"] for r in results] == kinds
    assert results[1]["value"]["polygonlabels"] == ["Birne ä"]
    points = np.array(results[0]["value"]["points"]) * (0.8, 0.6)
    drawn_again = Image.new("1", (80, 60))
    ImageDraw.Draw(drawn_again).polygon([tuple(p) for p in points], fill=1)
    assert overlap(np.asarray(drawn_again), originals()["ü b c.jpg"][0][0]) > 0.8


@pytest.mark.parametrize("kind", ["none", "all", "first", "noise", "long"])
def test_brush_code(kind):
    shape = (300, 400) if kind == "long" else (7, 9)
    mask = np.zeros(shape, bool)
    if kind == "noise":
        mask = np.random.default_rng(0).random(shape) < 0.5
    elif kind == "first":
        mask[0, 0] = True
    elif kind != "none":
        mask[:] = True
    code = encode_brush(mask)
    np.testing.assert_array_equal(decode_brush(code, *shape), mask)
    # By the code's own words: number of values, then 8 bits to a value.
    assert int.from_bytes(bytes(code[:4]), "big") == 4 * mask.size and code[4] >> 3 == 7
