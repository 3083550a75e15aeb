"""YOLO's text files: boxes and polygons in parts of the picture's sides."""

import time

import numpy as np
import pytest
from format_files import drawn, load, outline_of, save_picture

from keras_maskrcnn.data import Source, dataset_splits, load_dataset
from keras_maskrcnn.data.formats.yolo import Yolo

TRIANGLE = "0.125 0.5 0.5 0.25 0.75 0.75"  # Of 80 x 60: (10, 30), (40, 15), (60, 45).


def write(folder, split="train", yaml="names: [cat, dog]\ntrain: images/train\n", **files):
    for name, text in files.items():
        save_picture(folder / "images" / split / f"{name}.jpg")
        if text is not None:
            place = folder / "labels" / split / f"{name}.txt"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
    if yaml is not None:
        (folder / "data.yaml").write_text(yaml)


def test_polygons_are_scaled_exactly(tmp_path, capsys):
    write(tmp_path, a=f"1 {TRIANGLE}\n0 {TRIANGLE}\n")
    data = load(tmp_path)
    dog, cat = data.records[0].objects
    assert outline_of(dog) == [[10, 30, 40, 15, 60, 45]]
    assert (dog.category, cat.category, dog.box) == (1, 0, (10, 15, 60, 45))
    assert dog.area == pytest.approx(abs(30 * 15 - 50 * -15) / 2)
    assert (data.class_names, data.category_ids) == (["cat", "dog"], [0, 1])
    load_dataset(tmp_path)
    assert "YOLO text files\n  1 pictures" in capsys.readouterr().out


def test_five_numbers_are_a_box_only(tmp_path):
    write(tmp_path, a="0 0.5 0.5 0.25 0.5\n")
    (cat,) = load(tmp_path).records[0].objects
    assert (cat.box, outline_of(cat), cat.area) == ((30, 15, 50, 45), None, 600)


@pytest.mark.parametrize("turns", [1, -1], ids=["as the outline", "the other way"])
def test_parts_and_holes_are_joined_by_bridges_of_no_width(tmp_path, turns):
    # A square with a square hole, and then another square: all in one line.
    outer = [(8, 6), (40, 6), (40, 36), (8, 36), (8, 6)]
    hole = [(16, 12), (24, 12), (24, 24), (16, 24), (16, 12)][::turns]
    part = [(56, 48), (72, 48), (72, 54), (56, 54), (56, 48)]
    walk = [*outer, *hole, (8, 6), *part, (8, 6)]
    write(tmp_path, a="0 " + " ".join(f"{x / 80} {y / 60}" for x, y in walk))
    (cat,) = load(tmp_path).records[0].objects
    expected = np.zeros((60, 80), np.uint8)
    expected[6:36, 8:40] = expected[48:54, 56:72] = 1
    expected[12:24, 16:24] = 0
    np.testing.assert_array_equal(drawn(cat), expected)
    assert cat.area == pytest.approx(960)


def test_missing_and_empty_files_are_negatives(tmp_path):
    write(tmp_path, a=f"0 {TRIANGLE}", b=None, c="", d="\n \n")
    assert [len(r.objects) for r in load(tmp_path).records] == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("[cat, dog]", {0: "cat", 1: "dog"}),
        ("\n  - cat\n  - dog", {0: "cat", 1: "dog"}),
        ("\n  0: cat  # the first\n  5: 'big dog'", {0: "cat", 5: "big dog"}),
        ("{1: dog, 0: cat}", {0: "cat", 1: "dog"}),
        ("[1, 2]", {0: "1", 1: "2"}),
    ],
)
def test_names_as_list_or_dict(tmp_path, names, expected):
    last = max(expected)
    write(tmp_path, yaml=f"train: images/train\nnames: {names}\n", a=f"{last} {TRIANGLE}")
    data = load(tmp_path)
    assert dict(zip(data.category_ids, data.class_names, strict=True)) == expected
    assert data.records[0].objects[0].category == len(expected) - 1


@pytest.mark.parametrize("base", ["", "path: ../datasets/coco8\n", "path: /home/x/coco8\n", None])
@pytest.mark.parametrize("kind", ["folder", "list of folders", "text file", "other machine"])
def test_splits_as_folder_list_or_text_file(tmp_path, base, kind):
    entry = {
        "folder": "images/{0}",
        "list of folders": "[images/{0}]",
        "text file": "{0}.txt",
        "other machine": "../../data/images/{0}",
    }[kind]
    lines = [f"{split}: {entry.format(split)}" for split in ("train", "val")]
    yaml = "\n".join([*lines, "test: ", "names: [cat]", base or ""])
    for split in ("train", "val"):
        write(tmp_path, split, None, **{split: f"0 {TRIANGLE}", "same": None})
        listed = [f"./images/{split}/{split}.jpg", f"C:\\x\\images\\{split}\\same.jpg", ""]
        (tmp_path / f"{split}.txt").write_text("\n".join(listed))
    (tmp_path / "data.yaml").write_text(yaml)
    assert dataset_splits(tmp_path) == ["train", "val"]
    for place in (tmp_path, tmp_path / "data.yaml"):
        for split in ("train", "val"):
            data = load(place, split=split)
            # A folder is read by alphabet, a text file as it stands.
            assert {r.path: len(r.objects) for r in data.records} == {
                str(tmp_path / "images" / split / f"{split}.jpg"): 1,
                str(tmp_path / "images" / split / "same.jpg"): 0,
            }
    with pytest.raises(ValueError, match=r"split to be one of \('train', 'val'\)"):
        load_dataset(tmp_path)


def test_roboflow_folders_and_its_wrong_paths(tmp_path):
    for split in ("train", "valid"):
        save_picture(tmp_path / split / "images" / "a.jpg")
        (tmp_path / split / "labels").mkdir()
        (tmp_path / split / "labels" / "a.txt").write_text(f"0 {TRIANGLE}")
    text = "train: ../train/images\nval: ../valid/images\nnc: 1\nnames: ['cat']\n"
    (tmp_path / "data.yaml").write_text(text)
    data = load(tmp_path, split="val")
    assert data.records[0].path == str(tmp_path / "valid" / "images" / "a.jpg")
    assert len(data.records[0].objects) == 1


def test_without_yaml_the_classes_stand_in_a_text_file(tmp_path):
    write(tmp_path, yaml=None, a=f"1 {TRIANGLE}")
    with pytest.raises(
        ValueError, match=r"one YAML file .* or one classes\.txt. Received: neither"
    ):
        load_dataset(tmp_path)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    data = load(tmp_path, split="train")
    assert (data.class_names, len(data.records[0].objects)) == (["cat", "dog"], 1)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_turned_pictures_are_annotated_upright(tmp_path, orientation):
    write(tmp_path, a=f"0 {TRIANGLE}", b=f"0 {TRIANGLE}")
    save_picture(tmp_path / "images" / "train" / "a.jpg", orientation=orientation)
    turned, plain = load(tmp_path).records
    height, width = (60, 80) if orientation == 3 else (80, 60)
    assert (turned.height, turned.width) == (height, width)
    scale = np.array([width / 80, height / 60] * 2)
    np.testing.assert_allclose(turned.instances[0].box, plain.instances[0].box * scale)


def test_labels_of_no_picture_are_named(tmp_path):
    write(tmp_path, a=f"0 {TRIANGLE}")
    (tmp_path / "labels" / "train" / "gone.txt").write_text(f"0 {TRIANGLE}")
    (tmp_path / "labels" / "train" / "classes.txt").write_text("cat\n")
    load(tmp_path, "labels/train/gone.txt: label file is of no picture", split="train")


def test_stray_files_are_passed_over(tmp_path):
    write(tmp_path, a=f"0 {TRIANGLE}")
    for name in (
        "images/train/._a.jpg",
        "images/.DS_Store",
        "labels/train.cache",
        "labels/._a.txt",
    ):
        (tmp_path / name).write_bytes(b"\x00\x05\x16\x07")
    assert len(load(tmp_path)) == 1


def test_labels_that_cannot_be_opened_do_not_hide_the_format(tmp_path):
    line = f"0 {TRIANGLE}"
    write(tmp_path, yaml=None, a=line, b=line)
    source = Source(tmp_path)
    assert tmp_path / "labels" / "train" / "a.txt" in source.files
    (tmp_path / "labels" / "train" / "a.txt").unlink()
    assert Yolo().finds(source)


def test_lines_that_cannot_be_used_are_named(tmp_path):
    bad = {
        "0 0.1 0.1 0.2": "line is neither a class and a box nor",
        "0 0.1 0.1 0.2 0.2 0.3": "line is neither a class and a box nor",
        "2 0.1 0.1 0.2 0.2": "unknown class (2)",
        "0.5 0.1 0.1 0.2 0.2": "unknown class (0.5)",
        "-1 0.1 0.1 0.2 0.2": "unknown class (-1)",
        "cat 0.1 0.1 0.2 0.2": "line is not made of numbers (cat",
        "0 nan 0.1 0.2 0.2": "line is not made of finite numbers",
        "0 40 30 10 10": "numbers are not in 0..1 (0 40",
        "0 0.1 0.1 0 0.2": "box has no area",
        "0 0.1 0.1 0.2 0.1 0.3 0.1": "polygon has no area",
    }
    write(tmp_path, a="\n".join([f"0 {TRIANGLE}", *bad]))
    (tmp_path / "labels" / "train" / "b.txt").write_bytes(b"\xff\xfe")
    save_picture(tmp_path / "images" / "train" / "b.jpg")
    (tmp_path / "images" / "train" / "c.jpg").write_bytes(b"no picture")
    reasons = [f"labels/train/a.txt, line {k}: {text}" for k, text in enumerate(bad.values(), 2)]
    data = load(
        tmp_path,
        *reasons,
        "labels/train/b.txt: labels cannot be read",
        "labels/train/c.txt: picture cannot be read",
    )
    assert [len(r.objects) for r in data.records] == [1]


@pytest.mark.parametrize(
    ("yaml", "words"),
    [
        ("names: 3\ntrain: images/train", "names as a list or by number. Received: 3"),
        ("names: []\ntrain: images/train", "names as a list or by number"),
        ("names: {a: b}\ntrain: images/train", "names as a list or by number"),
        ("names: [a, a]\ntrain: images/train", "1 class names occur more than once: a"),
        ("names: [a]\ntrain: gone", "list of the split 'train' below .*gone, which is not there"),
        ("names: [a]\ntrain: /etc", "list of the split 'train' below .*etc, which is not there"),
        ("names: [a]\ntrain: {a: 1}", "expected a path for the split 'train'"),
    ],
)
def test_settings_that_cannot_be_used(tmp_path, yaml, words):
    write(tmp_path, yaml=yaml, a=f"0 {TRIANGLE}")
    with pytest.raises(ValueError, match=words):
        load_dataset(tmp_path)


def test_labels_that_lead_out_of_the_folder(tmp_path):
    write(tmp_path / "data", a=f"0 {TRIANGLE}", b=None, c=None)
    (tmp_path / "secret.txt").write_text("secret")
    labels = tmp_path / "data" / "labels" / "train"
    (labels / "b.txt").symlink_to(tmp_path / "secret.txt")
    (labels / "c.txt").symlink_to("a.txt")
    data = load(tmp_path / "data", "labels/train/b.txt: labels lead out of the folder")
    assert [len(record.objects) for record in data.records] == [1, 1]


def test_yaml_runs_nothing(tmp_path):
    write(tmp_path, yaml="names: !!python/object/apply:os.getcwd []\ntrain: x", a="")
    with pytest.raises(ValueError, match=r"data\.yaml is not valid YAML"):
        load_dataset(tmp_path / "data.yaml", "yolo")


def test_many_objects_are_read_at_once(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(100):
        lines = [" ".join(["0", *map(str, rng.random(40).round(6))]) for _ in range(100)]
        write(tmp_path, yaml=None, **{f"p{number}": "\n".join(lines)})
    write(tmp_path)
    start = time.process_time()
    data = load(tmp_path)
    assert time.process_time() - start < 5
    assert sum(len(r.objects) for r in data.records) == 10_000
