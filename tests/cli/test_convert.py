"""`maskrcnn convert`: data sets with their splits, and predictions."""

import json
import os

import pytest
from format_files import load, save_picture, write_json
from written_scenes import make_dataset, plain_objects

from keras_maskrcnn import names
from keras_maskrcnn.cli import main
from keras_maskrcnn.data import WRITERS, load_dataset, save_dataset


def test_a_writer_has_the_name_of_its_file():
    for name, writer in WRITERS.items():
        assert type(writer).__module__ == f"keras_maskrcnn.data.writers.{name}"


def test_to_every_format_and_back(tmp_path, capsys):
    save_dataset(make_dataset(tmp_path / "a"), tmp_path / "coco", verbose=False)
    source = tmp_path / "coco"
    for name in (*names.WRITERS, "coco"):
        target = tmp_path / f"{source.name}_{name}"
        assert main(["convert", "--data", str(source), "--to", name, str(target)]) == 0
        assert f"{target}: {WRITERS[name].title}, 3 pictures\n" in capsys.readouterr().out
        data = load(target)
        assert sorted(len(r.objects) for r in data.records) == [0, 2, 6]
        source = target


def test_all_splits_with_the_classes_of_all(tmp_path, capsys):
    objects = plain_objects()
    train = make_dataset(tmp_path / "a", {"ü b c.jpg": objects["ü b c.jpg"][:1]})
    val = make_dataset(tmp_path / "b", {"d.JPG": objects["d.JPG"][:1]})
    save_dataset({"train": train, "val": val}, tmp_path / "from", "labelme", verbose=False)
    words = ["convert", "--data", str(tmp_path / "from"), "--to", "yolo"]
    assert main([*words, str(tmp_path / "to"), "--link"]) == 0
    for split, label in (("train", "red fig"), ("val", "Birne ä")):
        data = load_dataset(tmp_path / "to", split=split, verbose=False)
        assert data.class_names == ["red fig", "Birne ä"]
        (o,) = data.records[0].objects
        assert data.class_names[o.category] == label
    first, second = (tmp_path / place / "d.JPG" for place in ("from/val", "to/images/val"))
    assert os.path.samefile(first, second)
    assert main([*words, str(tmp_path / "one"), "--split", "val"]) == 0
    assert "Received" not in capsys.readouterr().err
    assert len(load(tmp_path / "one")) == 1


def test_losses_are_told(tmp_path, capsys):
    save_dataset(make_dataset(tmp_path / "a"), tmp_path / "from", verbose=False)
    words = ["convert", "--data", str(tmp_path / "from"), "--to", "voc", str(tmp_path / "to")]
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path / 'to'}: Pascal VOC, 3 pictures",
        "  5 x outline is drawn into pixels (first: ü_b_c.jpg, object 1)",
        "  1 x picture has a new name (first: ü b c.jpg)",
    ]


def test_items_that_cannot_be_read_are_told(tmp_path, caplog):
    save_dataset(make_dataset(tmp_path / "a"), tmp_path / "from", verbose=False)
    (tmp_path / "from" / "train" / "d.JPG").unlink()
    words = ["convert", "--data", str(tmp_path / "from"), "--to", "cvat", str(tmp_path / "to")]
    assert main(words) == 0
    assert caplog.messages[0].endswith("from: left out 1 items:")
    assert len(load(tmp_path / "to")) == 2


def test_predictions_with_their_folder(tmp_path, capsys):
    for name in ("a.jpg", "b.jpg"):
        save_picture(tmp_path / "new" / name)
    results = [
        {"file_name": f"new/{name}.jpg", "category_name": "fig", "score": score}
        | {"image_id": 1, "category_id": 1, "bbox": [2, 3, 10, 20]}
        for name, score in (("a", 0.9), ("b", 0.6), ("b", 0.3))
    ]
    file = write_json(tmp_path / "predictions.json", results)
    words = ["convert", "--predictions", str(file), "--images", str(tmp_path / "new")]
    words += ["--order", "uncertainty", "--to"]
    assert main([*words, "labelme", str(tmp_path / "to")]) == 0
    written = sorted(p.name for p in (tmp_path / "to").iterdir())
    assert written == ["1_b.jpg", "1_b.json", "2_a.jpg", "2_a.json"]
    assert main([*words, "label_studio", str(tmp_path / "ls"), "--threshold", "0.2"]) == 0
    tasks = json.loads((tmp_path / "ls" / "tasks.json").read_text())
    assert [len(t["predictions"][0]["result"]) for t in tasks] == [2, 1]
    assert tasks[0]["data"]["image"].endswith("=images/b.jpg")


def test_predictions_with_their_data(tmp_path):
    save_dataset(make_dataset(tmp_path / "a"), tmp_path / "from", verbose=False)
    result = {"image_id": 12, "category_id": 7, "score": 0.5, "bbox": [2, 3, 10, 20]}
    file = write_json(tmp_path / "bbox.json", [result])
    words = ["convert", "--predictions", str(file), "--data", str(tmp_path / "from")]
    assert main([*words, "--to", "coco", str(tmp_path / "to")]) == 0
    data = load(tmp_path / "to")
    assert [len(r.instances) for r in data.records] == [0, 0, 1]
    assert data.class_names[data.records[2].instances[0].category] == "Birne ä"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Expected --data FOLDER, or --predictions FILE"),
        (["--data", "x", "--order", "given"], "Expected --order only with --predictions FILE"),
        (["--data", "x", "--threshold", "0"], "Expected --threshold only with --predictions"),
        (["--predictions", "x"], "Expected --images FOLDER or --data FOLDER with --predictions"),
        (["--data", "/nowhere"], "Expected a folder or an annotation file. Received: --data"),
    ],
)
def test_errors_are_one_line(words, message, capsys, tmp_path):
    assert main(["convert", *words, "--to", "coco", str(tmp_path / "to")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("maskrcnn convert: error: ") and message in line
    assert not (tmp_path / "to").exists()


def test_a_full_folder_is_refused(tmp_path, capsys):
    save_dataset(make_dataset(tmp_path / "a"), tmp_path / "from", verbose=False)
    words = ["convert", "--data", str(tmp_path / "from"), "--to", "coco"]
    assert main([*words, str(tmp_path / "a")]) == 2
    assert "Expected a new or empty folder" in capsys.readouterr().err
