"""The format is found by content, splits by name; what is not clear is said and not guessed."""

import gc
import json

import pytest
from format_files import outline_of
from PIL import Image

import keras_maskrcnn.data.datasets as datasets
from keras_maskrcnn.data import FORMATS, Reader, dataset_splits, load_coco, load_dataset
from keras_maskrcnn.data.formats import source

OUTLINE = [[1, 1, 5, 1, 5, 5, 1, 5]]


def write_coco(file, pictures, name="a.png"):
    file.parent.mkdir(parents=True, exist_ok=True)
    pictures.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6)).save(pictures / name)
    entry = {"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 1, 4, 4]}
    content = {
        "images": [{"id": 7, "file_name": name, "height": 6, "width": 8}],
        "annotations": [entry | {"segmentation": OUTLINE, "iscrowd": 0, "area": 16}],
        "categories": [{"id": 3, "name": "cat"}, {"id": 4, "name": "dog"}],
    }
    file.write_text(json.dumps(content))


def test_coco_is_found_and_told(tmp_path, capsys):
    write_coco(tmp_path / "anything.json", tmp_path / "pictures")
    data = load_dataset(tmp_path)
    assert capsys.readouterr().out == (
        f"{tmp_path / 'anything.json'}: COCO JSON\n"
        "  1 pictures, 0 of them without objects\n"
        "  1 objects: cat 1, dog 0\n"
    )
    assert data.records[0].path == str(tmp_path / "pictures" / "a.png")
    assert outline_of(data.records[0].objects[0]) == OUTLINE
    same = load_coco(tmp_path / "anything.json", tmp_path / "pictures")
    assert (same.category_ids, same.name) == (data.category_ids, data.name) == ([3, 4], "anything")
    assert len(load_dataset(tmp_path / "anything.json", verbose=False)) == 1
    assert capsys.readouterr().out == ""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "anything.json").rename(elsewhere / "a.json")
    data = load_dataset(elsewhere, image_dir=tmp_path / "pictures", class_names=["dog", "cat"])
    assert data.class_names == ["dog", "cat"] and data.category_ids == [4, 3]
    assert data.records[0].objects[0].category == 1


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        ({"annotations/instances_{}2017.json": "{}2017"}, ["train2017", "val2017"]),
        ({"instances_{}.json": "images/{}"}, ["train", "val"]),
        ({"{}/_annotations.coco.json": "{}"}, ["train", "val"]),
    ],
    ids=["coco", "images", "roboflow"],
)
def test_splits_of_coco(tmp_path, layout, names):
    """Both splits have a picture of the same name: each finds its own."""
    ((file, pictures),) = layout.items()
    for split in ("train", "val"):
        write_coco(tmp_path / file.format(split), tmp_path / pictures.format(split))
    assert dataset_splits(tmp_path) == names
    for split in ("train", "val"):
        data = load_dataset(tmp_path, split=split, verbose=False)
        assert data.records[0].path == str(tmp_path / pictures.format(split) / "a.png")
    with pytest.raises(ValueError, match=rf"one of \('{names[0]}', '{names[1]}'\), since there"):
        load_dataset(tmp_path)
    with pytest.raises(ValueError, match="Received: split='test'"):
        load_dataset(tmp_path, split="test")


def test_a_coco_file_is_parsed_once(tmp_path, monkeypatch):
    """It may be as large as memory allows: to tell its format, it is searched and not parsed."""
    write_coco(tmp_path / "train" / "a.json", tmp_path / "train")
    write_coco(tmp_path / "val" / "a.json", tmp_path / "val")
    parsed = []
    read = source.read_json
    monkeypatch.setattr(source, "read_json", lambda file: parsed.append(file) or read(file))
    load_dataset(tmp_path, split="val", verbose=False)
    assert parsed == [tmp_path / "val" / "a.json"]


@pytest.mark.parametrize("frozen", [False, True])
def test_garbage_collection_is_as_before(tmp_path, frozen):
    write_coco(tmp_path / "a.json", tmp_path)
    try:
        if frozen:
            gc.freeze()
        before = gc.get_freeze_count()
        load_dataset(tmp_path, verbose=False)
        assert gc.isenabled() and (gc.get_freeze_count() > 0) == frozen == (before > 0)
        gc.disable()
        load_dataset(tmp_path, verbose=False)
        assert not gc.isenabled()
    finally:
        gc.unfreeze()
        gc.enable()


def test_two_files_for_a_split_are_named(tmp_path):
    write_coco(tmp_path / "train" / "a.json", tmp_path)
    write_coco(tmp_path / "train" / "b.json", tmp_path)
    with pytest.raises(ValueError, match=r"one COCO file for each split.*a\.json and .*b\.json"):
        load_dataset(tmp_path)


def test_what_is_not_clear_is_said(tmp_path, monkeypatch):
    write_coco(tmp_path / "a.json", tmp_path)

    class Greedy(Reader):
        title = "Takes it all"

        def finds(self, source):
            return True

        def read(self, source, found):
            raise AssertionError

    monkeypatch.setattr(FORMATS, "_readers", dict(FORMATS._readers))
    FORMATS.register("greedy")(Greedy)
    words = r"what looks like 'coco' \(COCO JSON\) and 'greedy' \(Takes it all\); say which"
    with pytest.raises(ValueError, match=words):
        load_dataset(tmp_path)
    assert len(load_dataset(tmp_path, "coco", verbose=False)) == 1


def test_nothing_to_read(tmp_path):
    with pytest.raises(ValueError, match="a folder or an annotation file.*gone"):
        load_dataset(tmp_path / "gone")
    with pytest.raises(ValueError, match="Received: no files, which no reader recognises"):
        load_dataset(tmp_path)
    (tmp_path / "a.txt").touch()
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(ValueError, match=r"'coco'.*Received: 1 \.txt, 1 \.json, which no reader"):
        load_dataset(tmp_path)
    with pytest.raises(ValueError, match="image_dir to be a folder"):
        load_dataset(tmp_path, image_dir=tmp_path / "gone")


def test_many_classes_are_told_in_few_words(tmp_path):
    write_coco(tmp_path / "a.json", tmp_path)
    content = json.loads((tmp_path / "a.json").read_text())
    content["categories"] += [{"id": 10 + k, "name": f"c{k}"} for k in range(30)]
    content["annotations"][0]["iscrowd"] = 1
    content["annotations"].append({"id": 2})
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.warns(UserWarning):
        data = load_dataset(tmp_path, verbose=False)
    assert datasets.summary(data).splitlines() == [
        "  1 pictures, 1 of them without objects",
        "  0 objects: cat 0, dog 0, "
        + ", ".join(f"c{k} 0" for k in range(18))
        + " and 12 more classes",
        "  1 crowd regions",
        "  1 items left out, see DetectionData.warnings",
    ]
