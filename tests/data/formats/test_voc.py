"""Pascal VOC's folders, and CVAT's "Segmentation mask"."""

import io
import re

import numpy as np
import pytest
from format_files import drawn, load, outline_of, png_bytes, save_picture
from PIL import Image

from keras_maskrcnn.data import dataset_splits, load_dataset

# Indices that mean nothing as colours: 1 is black, 2 is white.
PALETTE = [0, 0, 0, 0, 0, 0, 255, 255, 255, 9, 9, 9] + [7] * (251 * 3) + [224, 224, 192]


def palette_png(values):
    return png_bytes(values.astype(np.uint8), PALETTE[: 256 * 3])


def scene():
    """A cat of two pieces (8), a dog (12) that touches it, and void around them."""
    objects = np.zeros((60, 80), np.uint8)
    classes = np.zeros((60, 80), np.uint8)
    objects[9:31, 9:51] = classes[9:31, 9:51] = 255
    objects[10:30, 10:30], classes[10:30, 10:30] = 1, 8
    objects[40:45, 60:70], classes[40:45, 60:70] = 1, 8
    objects[10:30, 30:50], classes[10:30, 30:50] = 2, 12
    return objects, classes


def write(folder, name="a", masks=True, objects=None, classes=None):
    save_picture(folder / "JPEGImages" / f"{name}.jpg")
    if masks:
        plain = scene()
        for kind, values in (("Object", objects), ("Class", classes)):
            place = folder / f"Segmentation{kind}"
            place.mkdir(exist_ok=True)
            content = palette_png(plain[kind == "Class"]) if values is None else values
            (place / f"{name}.png").write_bytes(content)


def write_xml(folder, *objects, name="a"):
    (folder / "Annotations").mkdir(exist_ok=True)
    text = "".join(objects)
    (folder / "Annotations" / f"{name}.xml").write_text(f"<annotation>{text}</annotation>")


def box(label, *corners):
    tags = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    inner = "".join(f"<{tag}>{value}</{tag}>" for tag, value in tags)
    return f"<object><name>{label}</name><bndbox>{inner}</bndbox></object>"


def test_palettes_are_read_as_indices_and_255_is_no_object(tmp_path):
    write(tmp_path)
    with Image.open(tmp_path / "SegmentationObject" / "a.png") as picture:
        assert picture.mode == "P"
    data = load(tmp_path)
    cat, dog = data.records[0].objects
    objects, _ = scene()
    np.testing.assert_array_equal(drawn(cat), objects == 1)
    np.testing.assert_array_equal(drawn(dog), objects == 2)
    assert [data.class_names[o.category] for o in (cat, dog)] == ["cat", "dog"]
    assert (len(data.class_names), cat.box, dog.area) == (20, (10, 10, 70, 45), 400)


def test_the_class_comes_from_the_class_picture(tmp_path):
    """Also where a border eats into it: the value that most of its pixels have."""
    _, classes = scene()
    classes[10:14, 30:50] = 255
    classes[14:16, 30:50] = 8
    write(tmp_path, classes=palette_png(classes))
    data = load(tmp_path)
    assert [data.class_names[o.category] for o in data.records[0].objects] == ["cat", "dog"]


def test_boxes_of_xml_count_from_1_and_include_the_last(tmp_path, capsys):
    write(tmp_path, masks=False)
    write_xml(tmp_path, box("ant", 1, 1, 80, 60), box("bee", 11, 21, 30, 40))
    ant, bee = load(tmp_path).records[0].objects
    assert (ant.box, outline_of(ant)) == ((0, 0, 80, 60), None)
    assert (bee.box, bee.area) == ((10, 20, 30, 40), 400)
    load_dataset(tmp_path)
    told = capsys.readouterr().out
    assert "Pascal VOC" in told and "ant 1, bee 1" in told and "2 objects with a box only" in told


def test_masks_go_before_boxes(tmp_path):
    write(tmp_path)
    write_xml(tmp_path, box("cat", 1, 1, 80, 60))
    write(tmp_path, "b", masks=False)
    write_xml(tmp_path, box("cat", 1, 1, 80, 60), name="b")
    assert [[o.box for o in r.objects] for r in load(tmp_path).records] == [
        [(10, 10, 70, 45), (30, 10, 50, 30)],
        [(0, 0, 80, 60)],
    ]


def test_splits(tmp_path):
    write(tmp_path)
    write(tmp_path, "b")
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\n\n")
    (lists / "val.txt").write_text("b\nc\n")
    assert dataset_splits(tmp_path) == ["train", "val"]
    assert [r.path[-5:] for r in load(tmp_path, split="train").records] == ["a.jpg"]
    load(tmp_path, "c: picture is missing", split="val")


def colour_png(values, colours):
    table = np.zeros((256, 3), np.uint8)
    for value, colour in colours.items():
        table[value] = colour
    stream = io.BytesIO()
    Image.fromarray(table[values]).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("is_palette", [False, True])
def test_classes_of_cvat_are_colours_of_the_label_map(tmp_path, is_palette):
    objects, classes = scene()
    void = {255: (224, 224, 192)}
    object_file = colour_png(objects, {1: (128, 0, 0), 2: (0, 128, 0), **void})
    class_file = colour_png(classes, {8: (250, 50, 83), 12: (50, 183, 250), **void})
    if is_palette:
        with Image.open(io.BytesIO(class_file)) as picture:
            stream = io.BytesIO()
            picture.quantize(8).save(stream, "PNG")
            class_file = stream.getvalue()
    write(tmp_path, objects=object_file, classes=class_file)
    (tmp_path / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\npear:50,183,250::\nfig:250,50,83::\n"
    )
    data = load(tmp_path)
    fig, pear = sorted(data.records[0].objects, key=lambda o: -o.category)
    assert data.class_names == ["pear", "fig"]
    np.testing.assert_array_equal(drawn(fig), objects == 1)
    np.testing.assert_array_equal(drawn(pear), objects == 2)


def test_a_label_map_without_colours_means_those_of_voc(tmp_path):
    """As datumaro writes it."""
    objects, classes = scene()
    write(
        tmp_path,
        objects=colour_png(objects, {1: (128, 0, 0), 2: (0, 128, 0), 255: (224, 224, 192)}),
        classes=colour_png(classes, {8: (128, 0, 0), 12: (0, 128, 0), 255: (224, 224, 192)}),
    )
    (tmp_path / "labelmap.txt").write_text("# label:color\nbackground:::\nfig:::\npear:::\n")
    data = load(tmp_path)
    assert data.class_names == ["fig", "pear"]
    by_class = {o.category: o for o in data.records[0].objects}
    np.testing.assert_array_equal(drawn(by_class[0]), objects == 1)
    np.testing.assert_array_equal(drawn(by_class[1]), objects == 2)


def test_classes_by_a_list_of_names(tmp_path):
    objects, _ = scene()
    write(tmp_path, classes=palette_png(np.where(objects == 255, 255, objects)))
    (tmp_path / "class_names.txt").write_text("__ignore__\n_background_\nfig\npear\n")
    data = load(tmp_path)
    assert data.class_names == ["fig", "pear"]
    assert [o.category for o in data.records[0].objects] == [0, 1]


def test_what_cannot_be_used_is_named(tmp_path):
    objects, classes = scene()
    write(tmp_path)
    jpeg = io.BytesIO()
    Image.fromarray(objects).save(jpeg, "JPEG")
    write(tmp_path, "b", objects=jpeg.getvalue())
    write(tmp_path, "c", classes=palette_png(classes[:50]))
    write(tmp_path, "d", classes=palette_png(np.where(classes == 8, 77, 0)))
    write(tmp_path, "e")
    (tmp_path / "SegmentationClass" / "e.png").unlink()
    write(tmp_path, "f", objects=palette_png(objects)[:60])
    write(tmp_path, "g", masks=False)
    write_xml(tmp_path, box("cat", 1, 1, "x", 60), "<object><name>cat</name></object>", name="g")
    write(tmp_path, "h", masks=False)
    write_xml(tmp_path, "<object>", name="h")
    data = load(
        tmp_path,
        "b: mask is no PNG, so that its values are not exact (JPEG)",
        "c: mask is not of its picture's size (50 x 80, not 60 x 80)",
        "SegmentationObject/d.png, object 1: unknown class (77)",
        "SegmentationObject/d.png, object 2: object has no class in SegmentationClass",
        "e: picture has no file in SegmentationClass",
        "f: mask cannot be decoded",
        "g, object 0: bndbox: a word is no number",
        "g, object 1: object has no bndbox",
        "h: boxes cannot be read",
    )
    # A picture whose masks cannot be read is not one without objects.
    assert [r.path[-5:] for r in data.records] == ["a.jpg", "d.jpg", "g.jpg"]
    assert len(data.records[0].objects) == 2


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("labelmap.txt", None),
        ("class_names.txt", None),
        ("ImageSets/Segmentation/train.txt", "train"),
    ],
)
def test_text_of_another_encoding_is_refused_by_name(tmp_path, name, split):
    write(tmp_path)
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("Bäume:1,2,3::\n", encoding="latin-1")
    with pytest.raises(ValueError, match=rf"{re.escape(str(file))} is not valid UTF-8: .*0xe4"):
        load_dataset(tmp_path, split=split, verbose=False)
