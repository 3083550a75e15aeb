"""The commands from outside: help, errors, and a whole run that is interrupted and resumed."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_maskrcnn.cli import main
from keras_maskrcnn.cli.main import describe_error
from keras_maskrcnn.data import load_coco
from keras_maskrcnn.demo.scenes import CATEGORY_IDS, build_scenes
from keras_maskrcnn.training.run import _EpochReport

_TINY = [
    "pyramid_channels=16",
    "anchor_sizes=[[16],[32],[64],[96],[128]]",
    "proposals_pre_nms_train=50",
    "proposals_pre_nms_test=50",
    "proposals_train=50",
    "proposals_test=20",
    "roi_samples=8",
    "box_head_dim=16",
    "mask_head_convs=1",
    "mask_head_dim=8",
    "score_threshold=0.0",
    "max_detections=5",
]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return build_scenes(tmp_path_factory.mktemp("scenes"), train=4, val=2, size=96)


@pytest.fixture(scope="module")
def trained(scenes, tmp_path_factory):
    """A run of two epochs, interrupted in the second and resumed."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    arguments = ["train", "--data", str(scenes), "--output", str(folder), "--epochs", "2"]
    arguments += ["--backbone", "resnet18", "--min-size", "96", "--max-size", "96"]
    arguments += [word for setting in _TINY for word in ("--set", setting)]
    report = _EpochReport.on_epoch_end

    def interrupt_second(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt
        report(self, epoch, logs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_EpochReport, "on_epoch_end", interrupt_second)
        interrupted = main(arguments)
    assert (interrupted, main(["train", "--resume", str(folder)])) == (130, 0)
    return folder


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "demo"])
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
    assert "\n" not in message


def test_errors_of_the_program_itself_are_not_hidden():
    assert describe_error(RuntimeError("a bug")) is None
    assert describe_error(tf.errors.InternalError(None, None, "no kernel")) is None
    assert describe_error(ValueError("bad\n  option")) == "bad option"


def test_run_folder_of_a_resumed_run(trained):
    names = {path.name for path in trained.iterdir()}
    assert names == {
        *("config.json", "history.csv", "log.txt", "best.keras", "last.keras"),
        *("learning_curves.png", "predictions.png"),
    }
    lines = (trained / "history.csv").read_text().splitlines()
    assert {"loss", "val_mask_ap", "val_mask_loss"} <= set(lines[0].split(","))
    assert [line.split(",")[0] for line in lines[1:]] == ["0", "1", "1"]
    config = json.loads((trained / "config.json").read_text())
    assert config["model"]["pyramid_channels"] == 16
    assert config["data"]["category_ids"] == list(CATEGORY_IDS)
    assert main(["train", "--resume", str(trained)]) == 2


def test_best_and_last_model_load(trained):
    for name in ("best.keras", "last.keras"):
        model = keras.saving.load_model(trained / name)
        assert model.config.class_names[0] == "coin"
        # 4 pictures in batches of 2, twice.
        assert int(model.optimizer.iterations) in ((2, 4) if name == "best.keras" else (4,))


def test_evaluate_prints_a_table_and_writes_json(trained, scenes, tmp_path, capsys):
    output = tmp_path / "metrics.json"
    arguments = ["evaluate", str(trained), "--data", str(scenes), "--output", str(output)]
    assert main(arguments) == 0
    assert "all classes" in capsys.readouterr().out
    content = json.loads(output.read_text())
    assert 0 <= content["metrics"]["mask_ap50"] <= 1
    assert list(content["per_class"]) == ["coin", "cup", "horse", "ring", "star"]


def test_predict_writes_overlays_and_results(trained, scenes, tmp_path, capsys):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    # Twice as large as the network's input: results must be in the picture's own pixels.
    Image.open(scenes / "val" / "000001.jpg").resize((192, 160)).save(pictures / "one.png")
    (pictures / "two.jpg").write_bytes(b"not a picture")
    output = tmp_path / "found"
    words = ["predict", str(trained), str(pictures), "--output", str(output), "--threshold", "0"]
    assert main(words) == 1
    assert "two.jpg" in capsys.readouterr().err
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
