"""Data by folder, whatever the format: what is read, what is said, and which pictures validate."""

import argparse
import json
import logging
import shutil
from pathlib import Path

import pytest
from format_files import save_picture, write_json

from keras_maskrcnn.cli import evaluate, main, train
from keras_maskrcnn.cli.data import data_arguments, described, read_pair, read_split
from keras_maskrcnn.data import load_coco

SQUARE = [10, 10, 30, 10, 30, 30, 10, 30]


def arguments(*words):
    parser = argparse.ArgumentParser()
    data_arguments(parser)
    parser.add_argument("--split", default="val")
    parser.add_argument("--seed", type=int)
    return parser.parse_args([str(word) for word in words])


def write_coco(file, pictures, names=("a", "b"), **changes):
    images, annotations = [], []
    for number, name in enumerate(names, 1):
        save_picture(pictures / f"{name}.jpg")
        images.append({"id": number, "file_name": f"{name}.jpg", "height": 60, "width": 80})
        entry = {"id": number, "image_id": number, "category_id": 1, "bbox": [10, 10, 20, 20]}
        annotations.append(entry | {"segmentation": [SQUARE]} | changes)
    categories = [{"id": 1, "name": "cat"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    return write_json(file, content)


def write_labelme(folder, *names):
    for name in names:
        save_picture(folder / f"{name}.jpg")
        shape = {"label": "cat", "points": [[1, 1], [9, 1], [9, 9]], "shape_type": "polygon"}
        write_json(folder / f"{name}.json", {"shapes": [shape], "imagePath": f"{name}.jpg"})


def paths(data):
    return [record.path for record in data.records]


@pytest.mark.parametrize(
    ("file", "pictures"),
    [
        ("instances_{}.json", "{}"),
        ("instances_{}.json", "images"),
        ("annotations/instances_{}.json", "images/{}"),
        ("annotations/instances_{}2017.json", "{}2017"),
        ("{}/_annotations.coco.json", "{}"),
    ],
)
def test_layouts_of_coco(tmp_path, file, pictures, capsys):
    """Where pictures lie in a folder for each split, both have pictures of the same names."""
    alone = "{}" in pictures
    for split in ("train", "val"):
        names = [f"{'' if alone else split}{k}" for k in range(2)]
        write_coco(tmp_path / file.format(split), tmp_path / pictures.format(split), names)
    train, val, name = read_pair(arguments("--data", tmp_path))
    assert name == "coco"
    for split, data in (("train", train), ("val", val)):
        place = tmp_path / pictures.format(split)
        assert paths(data) == [str(place / f"{'' if alone else split}{k}.jpg") for k in range(2)]
        alike = read_split(arguments("--data", tmp_path, "--split", split))
        assert paths(alike) == paths(data)
    told = capsys.readouterr().out
    assert "COCO JSON\n  2 pictures, 0 of them without objects\n  2 objects: cat 2\n" in told


def test_two_files_of_one_split_are_named(tmp_path):
    for year in ("train2014", "train2017", "val2017"):
        write_coco(tmp_path / f"instances_{year}.json", tmp_path / year)
    for words in ([], ["--split", "train"]):
        args = arguments("--data", tmp_path, *words)
        with pytest.raises(ValueError, match=r"one split called train.*train2014, train2017"):
            read_split(args) if words else read_pair(args)


def test_missing_parts_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"Expected a data folder. Received: .*nowhere"):
        read_pair(arguments("--data", tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="Received: no files, which no reader recognises"):
        read_pair(arguments("--data", tmp_path))
    write_coco(tmp_path / "instances_test.json", tmp_path / "test")
    with pytest.raises(ValueError, match="one split called train. Received: test"):
        read_split(arguments("--data", tmp_path))
    assert len(read_split(arguments("--data", tmp_path, "--split", "test"))) == 2


def test_validation_alone_can_be_evaluated(tmp_path):
    write_coco(tmp_path / "instances_val2017.json", tmp_path / "val2017")
    assert len(read_split(arguments("--data", tmp_path))) == 2


@pytest.mark.parametrize("kind", ["labelme", "one COCO file", "only train"])
def test_pictures_are_set_aside(tmp_path, kind):
    names = [f"p{k}" for k in range(10)]
    if kind == "labelme":
        write_labelme(tmp_path, *names)
    else:
        file = {"one COCO file": "result.json", "only train": "train/a.json"}[kind]
        write_coco(tmp_path / file, tmp_path / "images", names)
    train, val, _ = read_pair(arguments("--data", tmp_path))
    assert (len(train), len(val)) == (8, 2) and not set(paths(train)) & set(paths(val))
    for split, data in (("train", train), ("val", val)):
        assert paths(read_split(arguments("--data", tmp_path, "--split", split))) == paths(data)
    _, more, _ = read_pair(arguments("--data", tmp_path, "--val-fraction", "0.4"))
    assert len(more) == 4
    _, other, _ = read_pair(arguments("--data", tmp_path, "--seed", "1"))
    assert paths(other) != paths(val)


def test_formats_and_their_settings(tmp_path, caplog):
    write_coco(tmp_path / "a.json", tmp_path, iscrowd=1)
    write_labelme(tmp_path, "c", "d")
    with pytest.raises(ValueError, match="'coco' .* and 'labelme' .*say which"):
        read_pair(arguments("--data", tmp_path))
    words = ["--data", tmp_path, "--format", "coco"]
    with caplog.at_level(logging.WARNING):
        train, _, name = read_pair(arguments(*words))
    assert name == "coco" and len(train.records[0].objects) == 1
    assert "2 of 2 objects are marked iscrowd=1" in caplog.text
    train, _, _ = read_pair(arguments(*words, "--format-set", "crowd=keep"))
    assert len(train.records[0].crowds) == 1 and train.notes == []
    with pytest.raises(ValueError, match=r"takes the settings \['crowd'\]"):
        read_pair(arguments(*words, "--format-set", "crowds=keep"))


def test_what_is_left_out_is_told_in_a_few_lines(tmp_path, caplog):
    write_coco(tmp_path / "a.json", tmp_path, [f"p{k}" for k in range(9)], category_id=4)
    content = json.loads((tmp_path / "a.json").read_text())
    content["annotations"][0]["category_id"] = 1
    write_json(tmp_path / "a.json", content)
    with caplog.at_level(logging.WARNING):
        read_pair(arguments("--data", tmp_path))
    lines = [line for line in caplog.messages if "id" in line or "more" in line or "left" in line]
    assert lines[0] == "a_train: left out 8 items:" and lines[-1] == "  and 3 more"
    assert len(lines) == 7


def test_description_names_the_pictures_wherever_they_lie(tmp_path):
    file = write_coco(tmp_path / "x" / "a.json", tmp_path / "x" / "images")
    found = described(load_coco(file, tmp_path / "x" / "images"))
    assert found["objects"] == {"cat": 2} and found["pictures"] == 2
    assert (found["crowds"], found["boxes_only"], found["left_out"], found["notes"]) == (
        0,
        0,
        0,
        [],
    )
    shutil.move(tmp_path / "x", tmp_path / "y")
    place = tmp_path / "y"
    assert described(load_coco(place / "a.json", place / "images"))["digest"] == found["digest"]
    write_coco(place / "b.json", place / "images", ["a", "c"])
    assert described(load_coco(place / "b.json", place / "images"))["digest"] != found["digest"]


@pytest.fixture
def started(tmp_path, monkeypatch):
    """A run that is interrupted before it begins to train; and what it would train on."""
    seen = []

    def stop(model, train_data, val_data, *rest):
        seen.append((paths(train_data), paths(val_data)))
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_maskrcnn.training.train_model", stop)
    monkeypatch.setattr(train, "build_model", _a_model)
    write_labelme(tmp_path / "photos", *(f"p{k}" for k in range(10)))
    words = ["--data", str(tmp_path / "photos"), "--output", str(tmp_path / "run")]
    words += ["--val-fraction", "0.3", "--seed", "5"]
    assert main(["train", *words]) == 130
    return tmp_path, seen


def _a_model(args, data):
    from helpers import tiny_model

    return tiny_model(num_classes=len(data.class_names))


def test_config_records_what_was_found(started):
    folder, seen = started
    data = json.loads((folder / "run" / "config.json").read_text())["data"]
    assert (data["from"], data["format"]) == (str(folder / "photos"), "labelme")
    assert (
        (data["train"]["pictures"], data["val"]["pictures"])
        == (7, 3)
        == tuple(len(part) for part in seen[0])
    )
    assert data["train"]["objects"] == {"cat": 7} and data["category_ids"] == [1]


def test_a_resumed_run_has_the_same_split(started, capsys):
    folder, seen = started
    assert main(["train", "--resume", str(folder / "run")]) == 130
    assert seen[1] == seen[0]
    # With another picture, others would validate.
    write_labelme(folder / "photos", "q")
    assert main(["train", "--resume", str(folder / "run")]) == 2
    error = capsys.readouterr().err
    assert "Expected the 7 pictures with which the run in" in error and len(seen) == 2


def test_a_run_is_evaluated_on_what_it_did_not_train_on(started, monkeypatch):
    folder, seen = started
    given = []

    def stop(path, weights_file):
        raise ValueError("enough")

    monkeypatch.setattr(evaluate, "load_model", stop)
    read = evaluate.read_split
    monkeypatch.setattr(evaluate, "read_split", lambda args: given.append(read(args)) or given[-1])
    words = ["evaluate", str(folder / "run"), "--data", str(folder / "photos")]
    assert main(words) == 2
    assert paths(given[0]) == seen[0][1]
    assert main([*words, "--seed", "6", "--split", "train"]) == 2
    assert len(given[1]) == 7 and paths(given[1]) != seen[0][0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--train", "a", "b"], "Expected --val ANNOTATIONS IMAGES, too"),
        (["--val", "a", "b"], "Expected --train ANNOTATIONS IMAGES, too"),
        (["--train", "a", "b", "--val", "a", "b", "--data", "c"], "Expected either --data or"),
    ],
)
def test_data_are_given_in_one_way(words, message, capsys, tmp_path):
    assert main(["train", *words, "--output", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err
    assert not Path(tmp_path / "run").exists()


@pytest.mark.parametrize("words", [["validate"], ["convert", "out", "--to", "coco"]])
def test_every_command_reads_with_the_settings_of_a_format(words, tmp_path, monkeypatch):
    import keras_maskrcnn.data

    file = write_coco(tmp_path / "val.json", tmp_path)
    asked = []

    def load(path, format, **options):
        asked.append((format, options["crowd"], options["channels"]))
        raise ValueError("enough")

    monkeypatch.setattr(keras_maskrcnn.data, "load_dataset", load)
    given = ["--data", str(file), "--format-set", "crowd=objects", "--channels", "4"]
    assert main([*words, *given]) == 2
    assert asked == [("auto", "objects", 4)]
