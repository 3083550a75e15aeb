"""Supervisely's projects."""

import base64
import io
import zlib

import numpy as np
import pytest
from format_files import drawn, load, outline_of, png_bytes, save_picture, write_json
from PIL import Image

from keras_maskrcnn.data import dataset_splits, load_dataset

CLASSES = [{"title": "pear", "shape": "polygon"}, {"title": "fig", "shape": "bitmap"}]


def figure(label="pear", kind="polygon", exterior=(), interior=(), **more):
    points = {"exterior": list(map(list, exterior)), "interior": list(interior)}
    return {"id": 1, "classTitle": label, "geometryType": kind, "points": points} | more


def bitmap(bits, origin, label="fig", content=None):
    data = zlib.compress(png_bytes(bits) if content is None else content)
    inner = {"data": base64.b64encode(data).decode(), "origin": origin}
    return figure(label, "bitmap", bitmap=inner)


def write(folder, *objects, name="a.jpg", dataset="ds0", size=(60, 80), meta=True):
    if meta:
        write_json(folder / "meta.json", {"classes": CLASSES, "tags": []})
    save_picture(folder / dataset / "img" / name)
    entry = {"size": {"height": size[0], "width": size[1]}, "tags": [], "objects": list(objects)}
    return write_json(folder / dataset / "ann" / f"{name}.json", entry)


SQUARE = [(10, 10), (40, 10), (40, 40), (10, 40)]


def test_polygons_with_holes(tmp_path, capsys):
    hole = [[20, 20], [30, 20], [30, 30], [20, 30]]
    write(tmp_path, figure(exterior=SQUARE), figure(exterior=SQUARE, interior=[hole, hole[:2]]))
    write(tmp_path, name="b.jpg")
    data = load(tmp_path)
    plain, holed = data.records[0].objects
    assert outline_of(plain) == [[10, 10, 40, 10, 40, 40, 10, 40]]
    expected = np.zeros((60, 80), np.uint8)
    expected[10:40, 10:40] = 1
    expected[20:30, 20:30] = 0
    np.testing.assert_array_equal(drawn(holed), expected)
    assert holed.area == pytest.approx(800) and len(outline_of(holed)) == 1
    assert data.class_names == ["pear", "fig"] and len(data.records[1].objects) == 0
    load_dataset(tmp_path)
    assert "Supervisely JSON\n  2 pictures" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["bits", "grey", "palette", "alpha"])
def test_bitmaps_are_compressed_pngs_at_an_origin(tmp_path, form):
    bits = np.array([[0, 1, 1], [1, 0, 0]], bool)
    content = png_bytes(bits if form == "bits" else bits.astype(np.uint8))
    if form == "palette":
        content = png_bytes(bits.astype(np.uint8), [0] * 768)
    if form == "alpha":
        rgba = np.zeros((2, 3, 4), np.uint8)
        rgba[..., 3] = bits * 255
        content = png_bytes(rgba)
    write(tmp_path, bitmap(bits, [20, 30], content=content))
    (fig,) = load(tmp_path).records[0].objects
    expected = np.zeros((60, 80), np.uint8)
    expected[30:32, 20:23] = bits
    np.testing.assert_array_equal(drawn(fig), expected)
    assert (fig.category, fig.box, fig.area) == (1, (20, 30, 23, 32), 3)


def test_the_corners_of_a_rectangle_belong_to_it(tmp_path):
    write(tmp_path, figure(kind="rectangle", exterior=[(79, 59), (0, 0)]))
    (pear,) = load(tmp_path).records[0].objects
    assert (pear.box, pear.area, drawn(pear).sum()) == ((0, 0, 80, 60), 4800, 4800)


def test_splits_are_folders_below_one_meta_file(tmp_path):
    for split in ("train", "val"):
        write(tmp_path, figure(exterior=SQUARE), dataset=split)
    assert dataset_splits(tmp_path) == ["train", "val"]
    for split in ("train", "val"):
        data = load(tmp_path, split=split)
        assert [r.path for r in data.records] == [str(tmp_path / split / "img" / "a.jpg")]
        assert data.class_names == ["pear", "fig"]
    assert load(tmp_path / "val").class_names == ["pear", "fig"]


def test_old_projects(tmp_path):
    """No `geometryType`, and no suffix of the picture in the file's name."""
    old = figure(exterior=SQUARE)
    del old["geometryType"]
    file = write(tmp_path, old)
    file.rename(file.with_name("a.json"))
    assert load(tmp_path).records[0].objects[0].area == 900


def test_masks_are_bounded_before_they_are_decoded(tmp_path):
    bomb = bitmap(None, [0, 0], content=b"\0" * (4 * 60 * 80 + (1 << 16) + 1))
    large = io.BytesIO()
    Image.new("1", (80, 61)).save(large, "PNG")
    text = bitmap(None, [0, 0], content=b"no picture")
    cut = bitmap(np.ones((2, 2), bool), [0, 0])
    long = bitmap(np.ones((2, 2), bool), [0, 0])
    long["bitmap"]["data"] = "A" * 200_000
    cut["bitmap"]["data"] = base64.b64encode(b"no zlib").decode()
    write(tmp_path, bomb, bitmap(None, [0, 0], content=large.getvalue()), text, cut, long)
    write(tmp_path, figure(exterior=SQUARE), name="b.jpg")
    load(
        tmp_path,
        "ds0/ann/a.jpg.json, object 0: mask is cut off, or larger than its picture (84736 bytes",
        "object 1: mask has more pixels than its picture may have (61 x 80)",
        "object 2: mask cannot be decoded",
        "object 3: mask is not compressed by zlib",
        "object 4: mask is larger than its picture (200000 characters)",
    )


def test_what_cannot_be_used_is_named(tmp_path):
    bad = [
        figure(kind="line", exterior=SQUARE),
        figure("plum", exterior=SQUARE),
        figure(exterior=[(1, 1), (2, "x")]),
        figure(exterior=SQUARE, interior=[3]),
        figure(kind="rectangle", exterior=SQUARE),
        {"classTitle": "pear", "geometryType": "polygon"},
        bitmap(np.ones((2, 2), bool), [1]),
        figure(exterior=SQUARE) | {"classTitle": ["pear"]},
        7,
    ]
    write(tmp_path, figure(exterior=SQUARE), *bad)
    write(tmp_path, figure(exterior=SQUARE), name="b.jpg", size=(61, 80))
    write(tmp_path, name="c.jpg").write_text("{")
    write(tmp_path, name="d.jpg")
    (tmp_path / "ds0" / "img" / "d.jpg").unlink()
    data = load(
        tmp_path,
        "object 1: shape is no region (line)",
        "object 2: unknown class (plum)",
        "object 3: exterior is no list of pairs of numbers",
        "object 4: interior is no list of pairs of numbers (3)",
        "object 5: rectangle has not two points",
        "object 6: entry is no JSON object (None)",
        "object 7: origin is not a list of 2 finite numbers",
        "object 8: object has no class (['pear'])",
        "object 9: entry is no JSON object (7)",
        "ds0/ann/b.jpg.json: annotated height and width are not the picture's",
        "ds0/ann/c.jpg.json: file cannot be read",
        "ds0/ann/d.jpg.json: picture is missing",
    )
    assert len(data.records[0].objects) == 1
