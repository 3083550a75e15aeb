"""The commands from outside: help, errors, and a whole run that is interrupted and resumed."""

import csv
import json
import os
import re
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from saved_arrays import saved_arrays

from keras_maskrcnn.cli import main
from keras_maskrcnn.cli.main import describe_error
from keras_maskrcnn.data import load_coco
from keras_maskrcnn.demo.scenes import CATEGORY_IDS, build_scenes
from keras_maskrcnn.training import RunFolder
from keras_maskrcnn.training import run as training_run

_TINY = [
    "neck.channels=16",
    "rpn.anchor_sizes=[[16],[32],[64],[96],[128]]",
    "rpn.pre_nms_train=50",
    "rpn.pre_nms_test=50",
    "rpn.proposals_train=50",
    "rpn.proposals_test=20",
    "box.samples=8",
    "box.dim=16",
    "mask.convs=1",
    "mask.dim=8",
    "box.score_threshold=0.0",
    "box.max_detections=5",
]

SCENE_CLASSES = ["coin", "cup", "horse", "ring", "star"]

# The second epoch repeats the numbers of the first evaluation, the third has its own.
_THREE_EPOCHS = ("--epochs", "3", "--evaluate-every", "3", "--learning-rate", "0.01")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return build_scenes(tmp_path_factory.mktemp("scenes"), train=4, val=2, size=96)


def train_words(scenes, folder, *more):
    words = ["train", "--data", str(scenes), "--output", str(folder), *more]
    words += ["--backbone", "resnet18", "--min-size", "96", "--max-size", "96"]
    return words + [word for setting in _TINY for word in ("--set", setting)]


@pytest.fixture(scope="module")
def trained(scenes, tmp_path_factory):
    """A run of three epochs."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    assert main(train_words(scenes, folder, *_THREE_EPOCHS)) == 0
    return folder


@pytest.fixture(scope="module")
def resumed(scenes, tmp_path_factory):
    """A run of three epochs, interrupted in the second and at its very end, and resumed."""
    folder = tmp_path_factory.mktemp("runs") / "resumed"
    save = RunFolder.save

    def interrupt_second(self, model, state, monitor, averages=None):
        if state.epochs_done == 2:
            raise KeyboardInterrupt
        save(self, model, state, monitor, averages)

    def interrupt(self, model, data, **options):
        raise KeyboardInterrupt

    resume = ["train", "--resume", str(folder)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "save", interrupt_second)
        codes = [main(train_words(scenes, folder, *_THREE_EPOCHS))]
        assert RunFolder(folder).state().epochs_done == 1
        patch.setattr(RunFolder, "save", save)
        patch.setattr(RunFolder, "draw_predictions", interrupt)
        codes.append(main(resume))
    assert [*codes, main(resume)] == [130, 130, 0]
    return folder


@pytest.mark.parametrize("command", ["validate", "train", "evaluate", "predict", "presets", "demo"])
def test_help_of_each_command(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: maskrcnn {command}")
    assert max(len(line) for line in text.splitlines()) <= 100


def test_unknown_command_is_refused(capsys):
    with pytest.raises(SystemExit) as end:
        main(["draw"])
    assert end.value.code == 2
    assert "draw" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train"], "Expected --data FOLDER or --train ANNOTATIONS IMAGES"),
        (["train", "--data", "nowhere"], "Expected a data folder. Received: nowhere"),
        (["train", "--resume", "nowhere"], "Expected a run folder with config.json"),
        (["evaluate", "m.keras"], "Expected --data FOLDER, or --annotations FILE"),
        (["predict", "m.keras", "nowhere.jpg"], "No such picture or folder: nowhere.jpg"),
        (["predict", "m.keras", "a.jpg", "--threshold", "cat"], "Expected --threshold SCORE or"),
    ],
)
def test_errors_are_one_line(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"maskrcnn {words[0]}: error: {message}")
    assert error.count("\n") == 1


def test_errors_can_show_where_they_arose(tmp_path):
    with pytest.raises(ValueError, match="nowhere"):
        main(["predict", "m.keras", str(tmp_path / "nowhere.jpg"), "--traceback"])


def test_train_refuses_a_folder_in_use_and_unknown_settings(scenes, tmp_path, capsys):
    used = tmp_path / "used"
    used.mkdir()
    (used / "thesis.txt").touch()
    assert main(["train", "--data", str(scenes), "--output", str(used)]) == 2
    assert "is not empty" in capsys.readouterr().err
    output = ["--output", str(tmp_path / "new"), "--set", "depth=9"]
    assert main(["train", "--data", str(scenes), *output]) == 2
    assert "Received: depth" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_error_while_a_data_set_is_read_is_told_in_one_line(scenes, tmp_path):
    # It arises in a thread of tf.data and arrives as a TensorFlow error with a Python traceback.
    for file in (scenes / "val").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes()[:400])
    data = load_coco(scenes / "instances_val.json", tmp_path)
    with pytest.raises(tf.errors.OpError) as error:
        list(data.batches(1, min_size=96, max_size=96))
    message = describe_error(error.value)
    assert message.startswith("Image id 1: Cannot decode the picture")
    assert not any(word in message for word in ("\n", "{{", "[Op:"))


def test_errors_are_cut_and_say_nothing_of_tensorflows_graph():
    text = describe_error(ValueError("{{function_node x}} bad\n" + "very " * 9000))
    assert text.startswith("bad very very") and len(text) < 2100
    assert text.endswith("... (--traceback tells all)")


def test_weights_that_cannot_be_downloaded(scenes, tmp_path, capsys, monkeypatch):
    def get_file(name, origin, **options):
        raise Exception(f"URL fetch failure on {origin}: None -- [Errno -2] Name not known")

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    words = ["train", "--data", str(scenes), "--output", str(tmp_path / "run")]
    words += ["--weights", "imagenet", *(w for setting in _TINY for w in ("--set", setting))]
    assert main(words) == 2
    error = capsys.readouterr().err
    name = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
    url = f"https://storage.googleapis.com/tensorflow/keras-applications/resnet/{name}"
    assert error.startswith(f"maskrcnn train: error: cannot download {url} ([Errno -2] Name not")
    assert str(tmp_path / "models" / name) in error and "--weights PATH" in error
    assert error.count("\n") == 1 and not (tmp_path / "run").exists()


def test_errors_of_the_program_itself_are_not_hidden():
    assert describe_error(RuntimeError("a bug")) is None
    assert describe_error(tf.errors.InternalError(None, None, "no kernel")) is None
    assert describe_error(ValueError("bad\n  option")) == "bad option"


def test_run_folder(trained):
    names = {path.name for path in trained.iterdir()}
    assert names == {
        *("config.json", "history.csv", "log.txt", "best.keras", "last.keras"),
        *("learning_curves.png", "predictions.png"),
    }
    lines = (trained / "history.csv").read_text().splitlines()
    assert {"loss", "val_mask_ap", "val_mask_loss"} <= set(lines[0].split(","))
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2", "3"]
    config = json.loads((trained / "config.json").read_text())
    assert config["model"]["neck"]["config"]["channels"] == 16
    assert config["data"]["category_ids"] == list(CATEGORY_IDS)
    assert main(["train", "--resume", str(trained)]) == 2


@pytest.mark.slow  # Three more runs.
def test_a_resumed_run_is_one_that_was_not_interrupted(resumed, trained):
    assert {path.name for path in resumed.iterdir()} == {path.name for path in trained.iterdir()}
    assert (resumed / "history.csv").read_text() == (trained / "history.csv").read_text()
    for name in ("best.keras", "last.keras"):
        found = saved_arrays(resumed / name)
        # The weights, in `last.keras` with the optimizer's numbers.
        assert len(found) > (200 if name == "last.keras" else 100)
        assert found == saved_arrays(trained / name), name


def test_a_second_run_in_one_folder_is_refused(trained, capsys):
    (trained / "predictions.png").rename(trained / "elsewhere.png")  # As if it were going on.
    with RunFolder(trained).lock():
        assert main(["train", "--resume", str(trained)]) == 2
    (trained / "elsewhere.png").rename(trained / "predictions.png")
    error = capsys.readouterr().err
    assert f"in use by process {os.getpid()}" in error and error.count("\n") == 1


@pytest.mark.slow  # One more run.
def test_a_run_of_nan_ends_with_an_error(scenes, tmp_path, capsys):
    output = tmp_path / "run"
    words = ("--epochs", "2", "--learning-rate", "1e38", "--batch-size", "1")
    assert main(train_words(scenes, output, *words)) == 1
    said = capsys.readouterr()
    assert "Best epoch" not in said.out
    last = said.err.splitlines()[-1]
    assert last.startswith("maskrcnn train: error: Training stopped at step 2: the loss is")
    named = re.search(r"Image ids of its batch: (\d+) \((.*?)\)", last)
    assert named[2] == str(scenes / "train" / f"{int(named[1]):06}.jpg")
    assert "a lower learning rate (it is 1e+38 here)" in last
    assert last.removeprefix("maskrcnn train: error: ") in (output / "log.txt").read_text()
    assert sorted(path.name for path in output.iterdir()) == ["config.json", "log.txt"]


def test_an_unreadable_picture_is_left_out_by_name(scenes, tmp_path, monkeypatch):
    copy = tmp_path / "scenes"
    shutil.copytree(scenes, copy)
    victim = sorted((copy / "train").iterdir())[1]
    victim.write_bytes(victim.read_bytes()[:600])

    trained_on = []

    def stop(model, train_data, *rest):
        trained_on.extend(record.path for record in train_data.records)
        raise KeyboardInterrupt

    monkeypatch.setattr(training_run, "_fit", stop)
    assert main(train_words(copy, tmp_path / "run", "--epochs", "1")) == 130
    assert len(trained_on) == 3 and str(victim) not in trained_on
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "left out 1 pictures:" in log
    assert f"Image id {int(victim.stem)}: Cannot decode the picture {victim} (600 bytes): " in log


def test_best_and_last_model_load(trained):
    for name in ("best.keras", "last.keras"):
        model = keras.saving.load_model(trained / name)
        assert model.class_names[0] == "coin"
        if name == "last.keras":
            # 4 pictures in batches of 2, three times.
            assert int(model.optimizer.iterations) == 6
        else:
            assert not model.compiled


def test_evaluate_prints_a_table_and_writes_json(trained, scenes, tmp_path, capsys):
    output = tmp_path / "metrics.json"
    arguments = ["evaluate", str(trained), "--data", str(scenes), "--output", str(output)]
    assert main(arguments) == 0
    assert "all classes" in capsys.readouterr().out
    content = json.loads(output.read_text())
    assert 0 <= content["metrics"]["mask_ap50"] <= 1
    assert list(content["per_class"]) == SCENE_CLASSES
    found = []
    for more in ([], ["--tta"]):
        assert main([*arguments, "--save-results", str(tmp_path / "found"), *more]) == 0
        found.append((tmp_path / "found" / "bbox.json").read_text())
    assert found[0] != found[1]
    assert main([*arguments, "--tta", "--min-size", "64"]) == 2
    assert "augment has sizes of its own" in capsys.readouterr().err


def test_predict_writes_overlays_and_results(trained, scenes, tmp_path, capsys):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    # Twice as large as the network's input: results must be in the picture's own pixels.
    Image.open(scenes / "val" / "000001.jpg").resize((192, 160)).save(pictures / "one.png")
    (pictures / "two.jpg").write_bytes(b"not a picture")
    (pictures / "notes.txt").touch()
    missing = tmp_path / "missing.jpg"
    output = tmp_path / "found"
    words = ["predict", str(trained), str(missing), str(pictures), "--output", str(output)]
    assert main([*words, "--threshold", "0"]) == 1
    told = capsys.readouterr()
    assert f"Skipped 1 that are no pictures: {pictures / 'notes.txt'}\n" in told.out
    assert "5 objects in 1 pictures" in told.out
    lines = [line for line in told.err.splitlines() if "picture" in line]
    assert lines[0] == f"No such picture or folder: {missing}"
    assert lines[1].startswith(f"Cannot decode the picture {pictures / 'two.jpg'} (13 bytes): ")
    assert lines[2] == "2 pictures or folders could not be read"
    assert not any(word in told.err for word in ("{{", "[Op:", "Traceback"))
    assert Image.open(output / "one.png").size == (192, 160)
    results = json.loads((output / "predictions.json").read_text())
    assert len(results) == 5
    assert {r["image_id"] for r in results} == {1}
    assert all(r["segmentation"]["size"] == [160, 192] for r in results)
    corners = np.array(
        [[r["bbox"][0] + r["bbox"][2], r["bbox"][1] + r["bbox"][3]] for r in results]
    )
    assert np.all(corners <= [192.001, 160.001])
    assert corners.max() > 96


def test_predict_by_class_counted_and_augmented(trained, scenes, tmp_path, capsys):
    picture = str(scenes / "val" / "000001.jpg")

    def call(*words):
        output, table = tmp_path / "found", tmp_path / "counts.csv"
        more = ["--output", str(output), "--counts", str(table), *words]
        assert main(["predict", str(trained), picture, *more]) == 0
        results = json.loads((output / "predictions.json").read_text())
        header, *rows = csv.reader(table.read_text().splitlines())
        assert header == ["picture", "class", "count"]
        assert [row[:2] for row in rows] == [[picture, name] for name in SCENE_CLASSES]
        names = [result["category_name"] for result in results]
        assert [int(row[2]) for row in rows] == [names.count(row[1]) for row in rows]
        return names, [result["score"] for result in results]

    names, scores = call("--threshold", "0")
    assert len(names) == 5
    first = names[0]
    left, _ = call("--threshold", "0", "--threshold", f"{first}=1.5")
    assert left == [name for name in names if name != first]
    _, augmented = call("--threshold", "0", "--tta")
    assert len(augmented) == 5 and augmented != scores
    _, tiled = call("--threshold", "0", "--tile", "64", "--overlap", "16")
    assert len(tiled) > 5  # Of several tiles, five at most of each.
    assert Image.open(tmp_path / "found" / "000001.png").size == Image.open(picture).size
    words = ["predict", str(trained), picture, "--output", str(tmp_path / "found")]
    assert main([*words, "--tile", "64", "--server", "http://localhost:1"]) == 2
    assert "Expected --tile only without --server" in capsys.readouterr().err
    assert main([*words, "--threshold", "coins=0.5"]) == 2
    assert "Did you mean 'coin'? Received: 'coins'" in capsys.readouterr().err
    assert main([*words, "--tta", "--server", "http://localhost:1"]) == 2
    assert "Expected --tta only without --server" in capsys.readouterr().err
