"""Random damage in random places: an item is left out by name, or the file is refused by name."""

import base64
import copy
import json
import warnings
import zlib

import numpy as np
import pytest
from format_files import base64_png, png_bytes, save_picture, write_json

from keras_maskrcnn.data import load_dataset

HUGE = 10**400
DEEP = [[[[[[[[[[1]]]]]]]]]]
VALUES = [
    *(None, True, False, 0, 1, -1, 1.5, 2**31, 2**63, HUGE, 1e30, 1e-30, float("nan")),
    *(float("inf"), "", "0", "\ud800", "../a.jpg", "/dev/zero", [], [[]], {}, DEEP, [1] * 6),
    *([True] * 4, ["1"] * 4, [[1, 2]] * 3, {"a": "b"}, {"a": {}}, [{}], [None], "a.jpg"),
]
SQUARE = [[10, 10], [40, 10], [40, 40], [10, 40]]
MASK = base64_png(np.ones((4, 6), bool))
BITMAP = base64.b64encode(zlib.compress(base64.b64decode(MASK))).decode()
# One run of 4 * 60 * 80 values, all of them 255.
_BITS = f"{19_200:032b}00111{'1111' * 4}100{19_199:016b}{255:08b}"
BRUSH = [int(_BITS[k : k + 8], 2) for k in range(0, len(_BITS), 8)]


def labelme():
    kinds = (("polygon", SQUARE), ("rectangle", SQUARE[::2]), ("circle", SQUARE[:2]))
    shapes = [{"label": "a", "points": p, "shape_type": k, "group_id": None} for k, p in kinds]
    mask = {"label": "b", "points": [[2, 2], [7, 5]], "shape_type": "mask", "mask": MASK}
    content = {"shapes": [*shapes, mask | {"group_id": 3}], "imagePath": "a.jpg", "imageData": None}
    return content | {"imageHeight": 60, "imageWidth": 80}


def via():
    polygon = {"name": "polygon", "all_points_x": [1, 9, 9], "all_points_y": [1, 1, 9]}
    oval = {"name": "ellipse", "cx": 30, "cy": 30, "rx": 9, "ry": 5, "theta": 1.0}
    regions = [
        {"shape_attributes": polygon, "region_attributes": {"kind": "a"}},
        {"shape_attributes": oval, "region_attributes": {"kind": {"a": True}}},
    ]
    return {"a.jpg1": {"filename": "a.jpg", "size": 1, "regions": regions}}


def via3():
    meta = {"vid": "1", "flg": 0, "z": [], "xy": [7, 1, 1, 9, 1, 9, 9], "av": {"1": "0"}}
    return {
        "attribute": {"1": {"aname": "kind", "type": 4, "options": {"0": "a"}}},
        "file": {"1": {"fid": 1, "fname": "a.jpg"}},
        "view": {"1": {"fid_list": ["1"]}},
        "metadata": {"m": meta, "n": meta | {"xy": [4, 30, 30, 9, 5]}},
    }


def supervisely():
    polygon = {"classTitle": "a", "geometryType": "polygon"}
    polygon["points"] = {"exterior": SQUARE, "interior": [[[20, 20], [30, 20], [30, 30]]]}
    bitmap = {"classTitle": "a", "geometryType": "bitmap"}
    bitmap["bitmap"] = {"data": BITMAP, "origin": [1, 1]}
    return {"size": {"height": 60, "width": 80}, "objects": [polygon, bitmap]}


def label_studio():
    size = {"original_width": 80, "original_height": 60, "image_rotation": 0, "id": "x"}
    polygon = {"type": "polygonlabels", "value": {"points": SQUARE, "polygonlabels": ["a"]}}
    box = {"x": 1, "y": 1, "width": 9, "height": 9, "rotation": 5, "rectanglelabels": ["a"]}
    brush = {"format": "rle", "rle": BRUSH, "brushlabels": ["a"]}
    results = [size | polygon, size | {"value": box}, size | {"value": brush}]
    annotation = {"was_cancelled": False, "result": results}
    return [{"id": 1, "data": {"image": "/data/a.jpg"}, "annotations": [annotation]}]


FORMATS = {
    "labelme": (labelme, "a.json"),
    "via": (via, "a.json"),
    "via3": (via3, "a.json"),
    "supervisely": (supervisely, "ann/a.jpg.json"),
    "label_studio": (label_studio, "a.json"),
}


def places(value):
    """All containers within a value."""
    if isinstance(value, dict | list) and value:
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from places(item)


def check(folder, name):
    """Either data with sound objects and a line for all that is lost, or one clear error."""
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        try:
            data = load_dataset(folder, name, verbose=False)
        except ValueError as error:
            assert str(folder) in str(error) or "class_attribute" in str(error), error
            assert len(str(error)) < 2500
            return "refused"
    assert all(warning.category is UserWarning for warning in given)
    assert bool(given) == bool(data.warnings)
    assert all(len(line) < 800 and line.isprintable() for line in data.warnings), data.warnings
    for record in data.records:
        assert record.path.startswith(str(folder))
        for instance in record.instances:
            low, high = np.float32(instance.box[:2]), np.float32(instance.box[2:])
            assert (high > low).all() and np.isfinite(instance.area)
    return "left out" if data.warnings else "read"


@pytest.mark.parametrize("name", FORMATS)
def test_mutated_json(tmp_path, name):
    make, file = FORMATS[name]
    save_picture(tmp_path / "a.jpg")
    write_json(tmp_path / file, make())
    assert check(tmp_path, name) == "read"
    rng = np.random.default_rng(0)
    verdicts = []
    for _ in range(250):
        content = copy.deepcopy(make())
        for _ in range(int(rng.integers(1, 3))):
            found = list(places(content))
            place = found[int(rng.integers(len(found)))]
            keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
            value = copy.deepcopy(VALUES[int(rng.integers(len(VALUES)))])
            place[keys[int(rng.integers(len(keys)))]] = value
        write_json(tmp_path / file, content)
        verdicts.append(check(tmp_path, name))
    assert {"refused", "left out", "read"} <= set(verdicts)


def mutated(content, rng):
    """Bytes that are changed, cut, doubled or made of others."""
    content = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(content)))
        way = int(rng.integers(4))
        if way == 0:
            content[at] = int(rng.integers(256))
        elif way == 1:
            del content[at : at + int(rng.integers(1, 20))]
        elif way == 2:
            content[at:at] = content[at : at + int(rng.integers(1, 20))]
        else:
            words = (b"nan", b"-1", b"1e999", b"9" * 400, b'"', b"<", b",", b"\0", b"\xff", b"&x;")
            content[at:at] = words[int(rng.integers(len(words)))]
        content = content or bytearray(b" ")
    return bytes(content)


XML = """<?xml version="1.0"?><annotations><meta><task><labels><label><name>a</name></label>
</labels></task></meta><image id="0" name="a.jpg" width="80" height="60">
<polygon label="a" points="10.0,10.0;40.0,10.0;40.0,40.0" group_id="1"/>
<box label="a" xtl="1" ytl="1" xbr="9" ybr="9" rotation="10"/>
<mask label="a" rle="1, 4, 5, 2" left="20" top="30" width="4" height="3"/></image>
<track label="a"><box frame="0" outside="0" xtl="1" ytl="1" xbr="9" ybr="9"/></track>
</annotations>"""
VOC = """<annotation><object><name>a</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax>
<ymax>40</ymax></bndbox></object></annotation>"""
TABLE = (
    "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks\n"
    'm.png,a,/m/01,b,0,1,0,1,0.9,"0.1 0.2"\nm.png,a,/m/02,b,0,1,0,1,,\n'
)
FILES = {
    "cvat": ("a.xml", XML.encode()),
    "voc": ("Annotations/a.xml", VOC.encode()),
    "yolo": ("a.txt", b"0 0.1 0.1 0.5 0.1 0.5 0.5\n1 0.5 0.5 0.2 0.2\n"),
    "open_images": ("a-segmentation.csv", TABLE.encode()),
    "masks": ("masks/a.png", png_bytes(np.eye(60, 80, dtype=np.uint16) * 700)),
}


@pytest.mark.parametrize("name", FILES)
def test_mutated_bytes(tmp_path, name):
    save_picture(tmp_path / "a.jpg")
    (tmp_path / "classes.txt").write_text("a\nb\n")
    if name == "open_images":
        (tmp_path / "m.png").write_bytes(png_bytes(np.ones((6, 8), np.uint8)))
    file, content = FILES[name]
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_bytes(content)
    assert check(tmp_path, name) == ("left out" if name == "cvat" else "read")
    rng = np.random.default_rng(1)
    verdicts = []
    for _ in range(250):
        (tmp_path / file).write_bytes(mutated(content, rng))
        verdicts.append(check(tmp_path, name))
    assert len(set(verdicts)) > 1


@pytest.mark.parametrize("name", FORMATS)
def test_json_that_is_none_or_too_deep(tmp_path, name):
    _, file = FORMATS[name]
    save_picture(tmp_path / "a.jpg")
    (tmp_path / file).parent.mkdir(exist_ok=True)
    for text in ("", "{", "[" * 100_000, json.dumps(DEEP), "\ud800".encode("utf-8", "replace")):
        (tmp_path / file).write_bytes(text if isinstance(text, bytes) else text.encode())
        assert check(tmp_path, name) == "refused"
