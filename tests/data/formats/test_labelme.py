"""LabelMe JSON: a file beside each picture."""

import numpy as np
import pytest
from format_files import base64_png, drawn, load, outline_of, save_picture, write_json

from keras_maskrcnn.data import DetectionData, load_dataset, save_dataset
from keras_maskrcnn.data.reading import read_image

TRIANGLE = [[10, 10], [30.5, 12.25], [20, 40]]


def shape(label="cat", points=TRIANGLE, kind="polygon", **more):
    entry = {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}}
    return entry | more


def write(folder, *shapes, name="a", **more):
    save_picture(folder / f"{name}.jpg")
    entry = {"version": "5.4.1", "flags": {}, "shapes": list(shapes), "imagePath": f"{name}.jpg"}
    entry |= {"imageData": None, "imageHeight": 60, "imageWidth": 80}
    return write_json(folder / f"{name}.json", entry | more)


def objects(data):
    return data.records[0].objects


def test_polygons_keep_their_vertices(tmp_path, capsys):
    write(tmp_path, shape(), shape("ant"))
    write(tmp_path, name="b")
    data = load(tmp_path)
    assert data.class_names == ["ant", "cat"]
    assert [(r.height, r.width, len(r.objects)) for r in data.records] == [(60, 80, 2), (60, 80, 0)]
    cat, ant = objects(data)
    assert outline_of(cat) == [[10, 10, 30.5, 12.25, 20, 40]]
    assert (cat.box, cat.category, ant.category) == ((10, 10, 30.5, 40), 1, 0)
    # Worked by hand: |(20.5, 2.25) x (10, 30)| / 2.
    assert cat.area == pytest.approx((20.5 * 30 - 2.25 * 10) / 2)
    load_dataset(tmp_path)
    assert "LabelMe JSON\n  2 pictures, 1 of them without objects" in capsys.readouterr().out


def test_corners_of_a_rectangle_in_any_order(tmp_path):
    corners = ([[5, 6], [25, 16]], [[25, 16], [5, 6]], [[25, 6], [5, 16]], [[5, 16], [25, 6]])
    write(tmp_path, *(shape(points=points, kind="rectangle") for points in corners))
    for instance in objects(load(tmp_path)):
        assert (instance.box, instance.area) == ((5, 6, 25, 16), 200)
        assert drawn(instance).sum() == 200


def test_a_circle_is_given_by_centre_and_rim(tmp_path):
    write(tmp_path, shape(points=[[40, 30], [43, 34]], kind="circle"))
    (circle,) = objects(load(tmp_path))
    points = np.reshape(outline_of(circle)[0], (-1, 2))
    np.testing.assert_allclose(np.hypot(*(points - (40, 30)).T), 5)
    # Between its corners it leaves the circle by no more than .02 pixels.
    middles = (points + np.roll(points, 1, axis=0)) / 2
    assert np.hypot(*(middles - (40, 30)).T).min() > 4.98
    assert circle.area == pytest.approx(np.pi * 25, rel=0.01)


def test_an_oriented_rectangle_has_its_four_corners(tmp_path):
    corners = [[40, 10], [50, 20], [40, 30], [30, 20]]
    write(tmp_path, shape(points=corners, kind="oriented_rectangle"))
    (turned,) = objects(load(tmp_path))
    assert outline_of(turned) == [[40, 10, 50, 20, 40, 30, 30, 20]] and turned.area == 200


def test_a_mask_is_a_crop_from_its_first_point_to_its_second_included(tmp_path):
    bits = np.zeros((4, 6), bool)
    bits[1:3, 2:5] = bits[0, 0] = bits[3, 5] = True
    write(
        tmp_path,
        shape(points=[[20, 30], [25, 33]], kind="mask", mask=base64_png(bits)),
        # Corners between pixels are rounded each by itself; the crop's own size counts.
        shape(points=[[20.4, 30.4], [25.6, 33.4]], kind="mask", mask=base64_png(bits)),
        shape(points=[[20, 30], [26, 33]], kind="mask", mask=base64_png(bits)),
    )
    data = load(tmp_path, "a.json, shape 2: mask is not of the size that its points tell (4 x 6")
    expected = np.zeros((60, 80), np.uint8)
    expected[30:34, 20:26] = bits
    for instance in objects(data):
        np.testing.assert_array_equal(drawn(instance), expected)
        assert (instance.box, instance.area) == ((20, 30, 26, 34), 8)


def test_label_and_group_id_together_are_one_object(tmp_path):
    """Eighteen shapes that are twelve objects."""
    step = [(x, y) for y in (0, 20, 40) for x in (0, 12, 24, 36, 48, 60)]
    groups = [1, 1, 2, 2, 1, 1, None, None, None, 3, 3, 3, 4, 4, *[None] * 4]
    labels = ["cat"] * 4 + ["dog"] * 2 + ["cat"] * 12
    shapes = [
        shape(label, [[x, y], [x + 9, y], [x, y + 9]], group_id=group)
        for (x, y), group, label in zip(step, groups, labels, strict=True)
    ]
    write(tmp_path, *shapes)
    found = objects(load(tmp_path))
    assert len(shapes) == 18 and len(found) == 12
    first, second, third = found[:3]
    assert [len(outline_of(o)) for o in found[:3]] == [2, 2, 2]
    assert (first.category, second.category, third.category) == (0, 0, 1)
    assert first.box == (0, 0, 21, 9) and first.area == pytest.approx(81)


def test_a_group_of_a_polygon_and_a_mask(tmp_path):
    bits = np.ones((5, 5), bool)
    write(
        tmp_path,
        shape(points=[[0, 0], [10, 0], [10, 10], [0, 10]], group_id=4),
        shape(points=[[50, 40], [54, 44]], kind="mask", mask=base64_png(bits), group_id=4),
    )
    (both,) = objects(load(tmp_path))
    expected = np.zeros((60, 80), np.uint8)
    expected[:10, :10] = expected[40:45, 50:55] = 1
    np.testing.assert_array_equal(drawn(both), expected)


def test_labels_that_are_no_classes(tmp_path):
    write(tmp_path, shape("__ignore__"), shape("_background_"), shape(), shape(" "), shape(None))
    data = load(
        tmp_path,
        "a.json, shape 0: label __ignore__ is no class",
        "a.json, shape 1: label _background_ is no class",
        "a.json, shape 4: object has no class (None)",
        "a.json, shape 3: object has no class",
    )
    assert data.class_names == ["cat"]


@pytest.mark.parametrize("path", ["..\\photos\\a.jpg", "C:\\x\\a.jpg", "../photos/a.jpg", "a.jpg"])
def test_windows_paths(tmp_path, path):
    file = write(tmp_path / "photos", shape(), imagePath=path)
    file.rename(tmp_path / "a.json")
    assert load(tmp_path).records[0].path == str(tmp_path / "photos" / "a.jpg")


def test_a_picture_beside_its_file_is_meant(tmp_path):
    for folder in ("one", "two"):
        write(tmp_path / folder, shape(folder))
    data = load(tmp_path)
    assert [record.path for record in data.records] == [
        str(tmp_path / folder / "a.jpg") for folder in ("one", "two")
    ]


def test_embedded_pictures(tmp_path):
    """A folder of nothing but JSON files, as LabelMe's users hand them on."""
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    write(tmp_path / "in", shape(), imagePath="gone.jpg", imageData=base64_png(pixels))
    (tmp_path / "in" / "a.jpg").unlink()
    (record,) = load(tmp_path / "in").records
    assert record.path == str(tmp_path / "in" / "a.json")
    np.testing.assert_array_equal(read_image(record.path), pixels)
    for name in ("coco", "yolo"):
        read = DetectionData([record], ["a"], [1])
        saved = save_dataset(read, tmp_path / name, name, verbose=False)
        assert saved.pictures == 1
        (again,) = load(tmp_path / name).records
        assert again.path.endswith("a.png")
        np.testing.assert_array_equal(read_image(again.path), pixels)
        np.testing.assert_allclose(again.instances[0].box, record.instances[0].box, atol=1e-9)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("AAAA", "expected a JPEG, PNG, BMP, GIF, WebP, TIFF, HEIC or NumPy file"),
        ("no base64!", "a picture as base64 text"),
        ("", "expected a JPEG, PNG, BMP, GIF, WebP, TIFF, HEIC or NumPy file"),
    ],
)
def test_embedded_pictures_that_are_none(tmp_path, data, words):
    write(tmp_path, shape())
    write(tmp_path, shape(), name="b", imagePath="gone.jpg", imageData=data)
    read = load(tmp_path, "b.json: picture cannot be read (")
    assert words in read.warnings[0]
    assert len(read) == 1


def test_turned_pictures_are_annotated_upright(tmp_path):
    """Trap of `formats.md`: sizes and points are of the turned picture."""
    write(tmp_path, shape(), imageHeight=80, imageWidth=60)
    save_picture(tmp_path / "a.jpg", orientation=6)
    (record,) = load(tmp_path).records
    assert (record.height, record.width) == (80, 60)
    (expected,) = load(_unturned(tmp_path)).records[0].instances
    assert record.instances[0].box == expected.box


def _unturned(tmp_path):
    write(tmp_path / "plain", shape(), imageHeight=80, imageWidth=60)
    save_picture(tmp_path / "plain" / "a.jpg", 80, 60)
    return tmp_path / "plain"


def test_flags_do_no_harm(tmp_path):
    write(tmp_path, shape(flags={"occluded": True}), flags={"blurred": True})
    (cat,) = objects(load(tmp_path))
    assert cat.attributes == {}


def test_shapes_that_are_no_regions_are_named(tmp_path):
    kinds = ("line", "point", "linestrip", "points", "ball")
    bad = [shape(kind=kind) for kind in kinds]
    bad += [shape(points=3), shape(points=[[1, "2"]]), shape(kind="circle"), 7, shape(group_id="x")]
    bad += [shape(points=[[1, 1], [3, 3]], kind="mask", mask=text) for text in ("!", "AAAA", None)]
    bad += [shape(points=[[5, 5], [5, 5]], kind="circle"), shape(points=[[1, 1], [2, 2]])]
    write(tmp_path, shape(), *bad)
    data = load(
        tmp_path,
        *(f"shape {k + 1}: shape is no region ({kind})" for k, kind in enumerate(kinds)),
        "shape 6: points is no list of pairs of numbers (3)",
        "shape 7: points is no list of pairs of numbers",
        "shape 8: circle has not two points",
        "shape 9: entry is no JSON object (7)",
        "shape 10: group_id is no integer (x)",
        "shape 11: mask is no base64 text (!)",
        "shape 12: mask cannot be decoded (expected a JPEG, PNG",
        "shape 13: mask is no base64 text (None)",
        "shape 14: radius is not positive",
        "shape 15: polygon has fewer than 3 points",
    )
    assert len(objects(data)) == 1


def test_files_that_cannot_be_read_are_named(tmp_path):
    write(tmp_path, shape())
    (tmp_path / "b.json").write_text("{")
    write_json(tmp_path / "c.json", {"shapes": [shape()], "imagePath": "gone.jpg"})
    write_json(tmp_path / "d.json", [])
    write(tmp_path, shape(), name="e", imageHeight=61)
    write(tmp_path, shape(), name="f", imagePath="a.jpg")
    data = load(
        tmp_path,
        "b.json: file cannot be read",
        "c.json: picture is missing (gone.jpg in",
        "d.json: entry is no JSON object",
        "e.json: annotated height and width are not the picture's (61 x 80",
        "f.json: its picture was annotated before",
    )
    assert len(data) == 1
