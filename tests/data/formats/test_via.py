"""VIA 1, 2 and 3."""

import numpy as np
import pytest
from format_files import drawn, load, outline_of, save_picture, write_json

from keras_maskrcnn.data import load_dataset

POLYGON = {"name": "polygon", "all_points_x": [10, 30.5, 20], "all_points_y": [10, 12.25, 40]}
RECT = {"name": "rect", "x": 5, "y": 6, "width": 20, "height": 10}


def region(shape=POLYGON, **attributes):
    return {"shape_attributes": shape, "region_attributes": attributes}


def entry(folder, *regions, name="a.jpg", version=2):
    save_picture(folder / name)
    found = list(regions) if version == 2 else {str(k): r for k, r in enumerate(regions)}
    return {f"{name}12345": {"filename": name, "size": 12345, "regions": found}}


def labels(data):
    return [data.class_names[o.category] for record in data.records for o in record.objects]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("is_project", [False, True])
def test_regions_as_dict_or_list_also_in_a_project(tmp_path, version, is_project):
    content = entry(tmp_path, region(fruit="pear"), region(RECT, fruit="fig"), version=version)
    content |= entry(tmp_path, name="b.jpg", version=version)  # A picture without objects.
    if is_project:
        content = {"_via_settings": {}, "_via_img_metadata": content, "_via_attributes": {}}
    write_json(tmp_path / "via_region_data.json", content)
    data = load(tmp_path)
    assert (data.class_names, labels(data)) == (["fig", "pear"], ["pear", "fig"])
    # The sizes come from the pictures' headers.
    assert [(r.height, r.width, len(r.objects)) for r in data.records] == [(60, 80, 2), (60, 80, 0)]
    pear, fig = data.records[0].objects
    assert outline_of(pear) == [[10, 10, 30.5, 12.25, 20, 40]]
    assert (fig.box, fig.area, drawn(fig).sum()) == ((5, 6, 25, 16), 200, 200)


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("apple", "apple"),
        (" apple ", "apple"),
        ({"apple": True}, "apple"),
        ({"pear": False, "apple": True}, "apple"),
    ],
    ids=["text or drop-down", "spaces", "checkbox", "checkbox unticked"],
)
def test_the_class_as_text_drop_down_or_checkbox(tmp_path, value, label):
    content = entry(tmp_path, region(kind=value))
    assert labels(load(write_json(tmp_path / "a.json", content))) == [label]


def test_no_class_or_several(tmp_path):
    values = ({"pear": True, "apple": True}, {"pear": False}, {}, None, "", 3, {"pear": "true"})
    regions = [region(kind="apple"), *(region(kind=value) for value in values)]
    write_json(tmp_path / "a.json", entry(tmp_path, *regions))
    data = load(
        tmp_path,
        "picture a.jpg12345, region 1: object has several classes (['pear', 'apple'])",
        *(f"region {k}: object has no class" for k in range(2, 8)),
    )
    assert labels(data) == ["apple"]


def test_the_attribute_that_holds_the_class(tmp_path):
    content = entry(tmp_path, region(fruit="pear", state="ripe"), region(fruit="fig"))
    file = write_json(tmp_path / "a.json", content)
    words = r"a\.json: expected class_attribute .*fruit \(2 regions\), state \(1 regions\)"
    with pytest.raises(ValueError, match=words):
        load_dataset(file)
    assert labels(load(file, class_attribute="fruit")) == ["pear", "fig"]
    with pytest.raises(ValueError, match=r"'via' takes the settings \['class_attribute'\]. Did"):
        load_dataset(file, class_atribute="fruit")


def test_without_attributes_all_are_of_one_class(tmp_path):
    file = write_json(tmp_path / "a.json", entry(tmp_path, region(), region()))
    assert load(file).class_names == ["object"]
    assert load(file, class_names=["balloon"]).class_names == ["balloon"]


def test_circles_and_ellipses(tmp_path):
    circle = {"name": "circle", "cx": 40, "cy": 30, "r": 5}
    lying = {"name": "ellipse", "cx": 40, "cy": 30, "rx": 20, "ry": 5, "theta": 0}
    turned = lying | {"theta": np.pi / 2}
    old = {key: lying[key] for key in ("name", "cx", "cy", "rx", "ry")}
    shapes = (circle, lying, turned, old)
    write_json(tmp_path / "a.json", entry(tmp_path, *(region(s) for s in shapes)))
    boxes = [o.box for o in load(tmp_path).records[0].objects]
    np.testing.assert_allclose(boxes[0], (35, 25, 45, 35), atol=0.05)
    np.testing.assert_allclose(boxes[1], (20, 25, 60, 35), atol=0.05)
    np.testing.assert_allclose(boxes[2], (35, 10, 45, 50), atol=0.05)
    assert boxes[3] == boxes[1]


def test_shapes_and_pictures_that_cannot_be_used(tmp_path):
    shapes = [{"name": "point", "cx": 1, "cy": 1}, POLYGON | {"name": "polyline"}, {}, 3]
    shapes += [POLYGON | {"all_points_y": [1, 2]}, RECT | {"x": "5"}, RECT | {"width": 0}]
    shapes += [{"name": "circle", "cx": 1, "cy": 1, "r": -2}, {"name": ["rect"]}]
    content = entry(tmp_path, region(), *map(region, shapes))
    content["gone"] = {"filename": "gone.jpg", "size": 1, "regions": [region()]}
    content["none"] = {"filename": "a.jpg", "size": 2, "regions": None}
    content["again"] = {"filename": "a.jpg", "size": 2, "regions": []}
    content["text"] = "text"
    write_json(tmp_path / "a.json", content)
    data = load(
        tmp_path,
        "region 1: shape is no region (point)",
        "region 2: shape is no region (polyline)",
        "region 3: shape is no region (None)",
        "region 4: entry is no JSON object (3)",
        "region 5: all_points_y is not a list of 3 finite numbers ([1, 2])",
        "region 6: rect is not a list of finite numbers (['5'",
        "region 7: polygon has no area",
        "region 8: radius is not positive",
        "region 9: shape is no region (['rect'])",
        "picture gone: picture is missing",
        "picture none: regions is neither a list nor a JSON object",
        "picture again: its picture was annotated before",
        "picture text: entry is no JSON object",
    )
    assert data.warnings[9].endswith("and with it its 1 annotations")
    assert labels(data) == ["object"]


def write_via3(folder, metadata, attribute=None, files=("a.jpg",)):
    for name in files:
        save_picture(folder / name)
    if attribute is None:
        attribute = {"1": {"aname": "fruit", "type": 4, "options": {"0": "pear", "1": " fig"}}}
    content = {
        "project": {"pname": "x"},
        "config": {},
        "attribute": attribute,
        "file": {str(k): {"fid": k, "fname": n, "type": 2} for k, n in enumerate(files, 1)},
        "view": {str(k): {"fid_list": [str(k)]} for k in range(1, len(files) + 1)},
        "metadata": metadata,
    }
    return write_json(folder / "project.json", content)


def meta(xy, vid="1", z=(), **av):
    return {"vid": vid, "flg": 0, "z": list(z), "xy": xy, "av": {k[1:]: v for k, v in av.items()}}


def test_options_are_resolved(tmp_path):
    shapes = {
        "1_a": meta([7, 10, 10, 30.5, 12.25, 20, 40], a1="1"),
        "1_b": meta([2, 5, 6, 20, 10], a1="0"),
        "1_c": meta([3, 40, 30, 5], a1="0"),
        "1_d": meta([4, 40, 30, 20, 5], a1="1"),
        "1_e": meta([], a1="0"),  # Says something of the whole picture.
    }
    write_via3(tmp_path, shapes, files=("a.jpg", "b.jpg"))
    data = load(tmp_path)
    assert [len(record.objects) for record in data.records] == [4, 0]
    assert labels(data) == ["fig", "pear", "pear", "fig"]
    first, *others = data.records[0].objects
    assert outline_of(first) == [[10, 10, 30.5, 12.25, 20, 40]]
    boxes = [o.box for o in others]
    expected = [(5, 6, 25, 16), (35, 25, 45, 35), (20, 25, 60, 35)]
    np.testing.assert_allclose(boxes, expected, atol=0.05)


def test_via3_text_attributes_and_none(tmp_path):
    text = {"1": {"aname": "fruit", "type": 1, "options": {}}}
    file = write_via3(tmp_path, {"x": meta([2, 1, 1, 5, 5], a1="a plum")}, text)
    assert labels(load(file)) == ["a plum"]
    file = write_via3(tmp_path, {"x": meta([2, 1, 1, 5, 5])})
    assert labels(load(file)) == ["object"]
    two = {"1": {"aname": "fruit", "options": {}}, "2": {"aname": "state", "options": {}}}
    file = write_via3(tmp_path, {"x": meta([2, 1, 1, 5, 5], a1="fig", a2="ripe")}, two)
    with pytest.raises(ValueError, match=r"project\.json: .*one of the attributes: fruit, state"):
        load_dataset(file)
    assert labels(load(file, class_attribute="state")) == ["ripe"]


def test_via3_objects_that_cannot_be_used(tmp_path):
    shapes = {
        "good": meta([2, 1, 1, 5, 5], a1="0"),
        "both": meta([2, 1, 1, 5, 5], a1="0,1"),
        "no option": meta([2, 1, 1, 5, 5], a1="7"),
        "no class": meta([2, 1, 1, 5, 5]),
        "point": meta([1, 4, 4], a1="0"),
        "video": meta([2, 1, 1, 5, 5], z=[1.5], a1="0"),
        "short": meta([2, 1, 1, 5], a1="0"),
        "text": meta("2115", a1="0"),
        "view": meta([2, 1, 1, 5, 5], vid="9", a1="0"),
        "null": None,
        "gone": meta([2, 1, 1, 5, 5], vid="2", a1="0"),
    }
    file = write_via3(tmp_path, shapes, files=("a.jpg", "b.jpg"))
    (tmp_path / "b.jpg").unlink()
    load(
        file,
        "project.json, metadata view: unknown view (9)",
        "metadata null: entry is no JSON object (None)",
        "metadata both: object has several classes (0,1)",
        "metadata no option: class is none of the options (7)",
        "metadata no class: object has no class (None)",
        "metadata point: shape is no region (shape 1)",
        "metadata video: object is of a moment in a video",
        "metadata short: shape is not a list of 4 finite numbers",
        "metadata text: xy is not a list of finite numbers",
        "project.json, view 2: picture is missing",
    )
