"""What every reader is built on: objects, areas, boxes, classes, pictures and their sizes."""

import os

import numpy as np
import pytest
from format_files import outline_of
from PIL import Image
from pycocotools import mask as coco_mask

from keras_maskrcnn.data import Collector, ItemError, load_dataset
from keras_maskrcnn.data.formats.picture_tree import PictureTree
from keras_maskrcnn.outlines import Bitmap

SQUARE = [1, 1, 5, 1, 5, 5, 1, 5]


@pytest.fixture
def found(tmp_path):
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
    tree = PictureTree(tmp_path)
    return Collector(tmp_path, lambda name, near=(): tree.find(name, near))


def add_picture(found):
    return found.add_picture(found.find_picture("a.png"))


def test_objects_worked_by_hand(found):
    image = add_picture(found)
    assert (image.height, image.width, image.image_id) == (6, 8, 1)
    # A square of 16, a triangle of 2 that reaches out, and a box.
    first = found.add_object(image, "b", parts=[SQUARE, [6, 1, 10, 1, 6, 2]])
    assert (first.box, first.area) == ((1, 1, 8, 5), pytest.approx(18))
    assert outline_of(first) == [SQUARE, [6, 1, 10, 1, 6, 2]]
    second = found.add_object(image, "a", box=(-1, 2, 3, 4), is_crowd=True)
    assert (second.box, second.area, outline_of(second)) == ((0, 2, 3, 4), 6, None)
    data = found.build("x")
    assert data.class_names == ["a", "b"] and data.category_ids == [1, 2]
    (record,) = data.records
    assert [(o.category, o.annotation_id) for o in record.instances] == [(1, 1), (0, 2)]
    assert [o.is_crowd for o in record.instances] == [False, True]


@pytest.mark.parametrize("seed", range(8))
def test_patches_are_encoded_as_the_coco_tools_do(found, seed):
    rng = np.random.default_rng(seed)
    image = add_picture(found)
    bits = rng.random((rng.integers(1, 8), rng.integers(1, 9))) < (0.9, 0.5)[seed % 2]
    bits[0, 0] = bits[-1, -1] = True
    x, y = (int(v) for v in rng.integers(-2, 3, 2))
    whole = np.zeros((30, 30), np.uint8)
    whole[10 + y : 10 + y + bits.shape[0], 10 + x : 10 + x + bits.shape[1]] = bits
    whole = whole[10:16, 10:18]
    if not whole.any():
        with pytest.raises(ItemError, match="mask is empty"):
            found.add_object(image, "a", parts=[Bitmap(bits, x, y)])
        return
    instance = found.add_object(image, "a", parts=[Bitmap(bits, x, y)])
    expected = coco_mask.encode(np.asfortranarray(whole))
    assert outline_of(instance) == expected
    assert instance.area == whole.sum()
    left, top, width, height = coco_mask.toBbox(expected)
    assert instance.box == (left, top, left + width, top + height)


def test_a_run_over_the_end_of_a_column_is_one(found):
    image = add_picture(found)
    instance = found.add_object(image, "a", parts=[Bitmap(np.ones((6, 2), bool), 1, 0)])
    assert (
        outline_of(instance)["counts"]
        == coco_mask.frPyObjects({"size": [6, 8], "counts": [6, 12, 30]}, 6, 8)["counts"]
    )


def test_parts_of_both_kinds_are_united(found):
    image = add_picture(found)
    instance = found.add_object(
        image, "a", parts=[[1, 1, 4, 1, 4, 4, 1, 4], Bitmap(np.ones((2, 2)) > 0, 5, 3)]
    )
    drawn = coco_mask.decode(outline_of(instance))
    expected = np.zeros((6, 8), np.uint8)
    expected[1:4, 1:4] = expected[3:5, 5:7] = 1
    np.testing.assert_array_equal(drawn, expected)
    assert (instance.box, instance.area) == ((1, 1, 7, 5), 13)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "object has neither outline nor box"),
        ({"parts": [[1, 1, 5, 1]]}, "polygon has fewer than 3 points"),
        ({"parts": [[1, 1, 5, 1, 9, 1]]}, "polygon has no area"),
        ({"parts": [[20, 1, 25, 1, 25, 3]]}, "polygon lies outside its picture"),
        ({"parts": [SQUARE], "box": (6, 1, 8, 5)}, "polygon lies outside its box"),
        ({"parts": [[1, 1, 5, "1", 5, 5]]}, "polygon is not a list of numbers"),
        ({"parts": [Bitmap(np.zeros((3, 3), bool))]}, "mask is empty"),
        ({"parts": [Bitmap(np.ones((3, 3), bool), 8, 0)]}, "mask is empty"),
        ({"parts": [Bitmap(np.ones((3, 3), bool), -3, -3)]}, "mask is empty"),
        ({"box": (1, 1, 1, 5)}, "box has no area"),
        ({"box": (9, 1, 12, 5)}, "box lies outside its picture"),
        ({"box": (float("nan"), 1, 12, 5)}, "not four finite numbers"),
    ],
)
def test_objects_that_cannot_be_used(found, given, reason):
    image = add_picture(found)
    with pytest.raises(ItemError, match=reason):
        found.add_object(image, "a", **given)
    with pytest.raises(ItemError, match="object has no class"):
        found.add_object(image, given.get("none"), parts=[SQUARE])
    found.add_object(image, "a", parts=[SQUARE])
    assert len(found.build("x").records[0].instances) == 1


def test_a_bad_part_does_not_cost_the_object(found):
    image = add_picture(found)
    found.add_object(image, "a", parts=[[1, 1], SQUARE], item="file, shape 3")
    data = found.build("x")
    assert data.warnings == ["file, shape 3, part 0: polygon has fewer than 3 points"]
    assert outline_of(data.records[0].objects[0]) == [SQUARE]


def test_classes_that_the_caller_says(tmp_path, found):
    chosen = Collector(tmp_path, found._find, ["pear", "apple"])
    image = add_picture(chosen)
    chosen.declare_classes(["apple", "plum", "pear"], [4, 5, 6])
    chosen.add_object(image, "apple", parts=[SQUARE])
    with pytest.raises(ItemError, match="unknown class"):
        chosen.add_object(image, "plum", parts=[SQUARE])
    data = chosen.build("x")
    assert (data.class_names, data.category_ids) == (["pear", "apple"], [6, 4])
    assert data.records[0].objects[0].category == 1
    for names, words in ((["a", "a"], "1 class names occur more than once: a"), ([3], "a text")):
        with pytest.raises(ValueError, match=words):
            found.declare_classes(names)


def test_nothing_found_is_said(found):
    with pytest.raises(ValueError, match="No picture of the data set can be used"):
        found.build("x")
    add_picture(found)
    with pytest.raises(ItemError, match="its picture was annotated before"):
        add_picture(found)
    with pytest.raises(ValueError, match="at least one object.*1 pictures without objects"):
        found.build("x")


def test_only_problems_of_items_are_collected(found):
    with found.item("file, object 1", objects=3):
        raise ItemError("no good", " (7)")
    assert found.problems.lines == ["file, object 1: no good (7), and with it its 3 annotations"]
    with pytest.raises(KeyError), found.item("file"):
        raise KeyError("a bug")


def test_names_are_found_by_their_end(tmp_path):
    for name in ("x/a.jpg", "y/a.jpg", "y/z/B.JPG", ".hidden/c.jpg", "y/._d.jpg", "__MACOSX/e.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    tree = PictureTree(tmp_path)
    assert len(tree.pictures) == 3
    for name, where in {
        "C:\\photos\\x\\a.jpg": "x/a.jpg",
        "..\\y\\a.jpg": "y/a.jpg",
        "/data/upload/y/a.jpg": "y/a.jpg",
        "b.jpg": "y/z/B.JPG",
    }.items():
        assert tree.find(name) == str(tmp_path / where)
    assert tree.find("a.jpg", [tmp_path, tmp_path / "y"]) == str(tmp_path / "y/a.jpg")
    with pytest.raises(ItemError, match="several pictures have its name"):
        tree.find("z/a.jpg")
    for name in ("c.jpg", "._d.jpg", "e.jpg", "x/b.png"):
        with pytest.raises(ItemError, match="picture is missing"):
            tree.find(name)
    for name in (None, "", "..", "/", "a\0.jpg", "a/" * 9999, 3):
        with pytest.raises(ItemError, match="file_name is no path"):
            tree.find(name)


def test_links_out_of_the_folder_are_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out.jpg").touch()
    (tmp_path / "in" / "a.jpg").symlink_to(tmp_path / "out.jpg")
    (tmp_path / "in" / "c.jpg").symlink_to("/dev/zero")
    for name in ("b.jpg", "b.json", "b.xml", "b.csv", "b.yaml", "b.txt"):
        os.mkfifo(tmp_path / "in" / name)
    tree = PictureTree(tmp_path / "in")
    with pytest.raises(ItemError, match="leads out of the picture folder"):
        tree.find("a.jpg")
    for name in ("b.jpg", "c.jpg"):  # Neither is ever opened.
        with pytest.raises(ItemError, match="picture is missing"):
            tree.find(name)
    with pytest.raises(ValueError, match="which no reader recognises"):
        load_dataset(tmp_path / "in")
