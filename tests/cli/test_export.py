"""`maskrcnn export`: what it asks of `export_model`, and what it says."""

from types import SimpleNamespace

import keras
import pytest
from helpers import make_data

import keras_maskrcnn.export
from keras_maskrcnn.cli import export, main
from keras_maskrcnn.data import save_dataset
from keras_maskrcnn.images.pixels import PixelFormat


def test_help(capsys):
    with pytest.raises(SystemExit) as end:
        main(["export", "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: maskrcnn export")
    assert max(len(line) for line in text.splitlines()) <= 100


def test_errors_are_one_line(tmp_path, capsys):
    assert main(["export", str(tmp_path / "no.keras"), "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("maskrcnn export: error: Expected a model file (.keras) or a run")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_options_reach_the_export(tmp_path, capsys, monkeypatch):
    calls = []

    def record(*args, **options):
        calls.append((args, options))
        return tmp_path / "served" / "4"

    model = keras.Sequential()
    monkeypatch.setattr(export, "load_model", lambda path, weights_file: (path, model))
    monkeypatch.setattr(keras_maskrcnn.export, "export_model", record)
    words = ["export", "m.keras", "--output", "served", "--version", "4", "--rle-masks"]
    words += ["--score-threshold", "0.5", "--max-detections", "20", "--nms-iou", "0.4"]
    words += ["--max-pixels", "5000", "--input-dtype", "uint8"]
    assert main(words) == 0
    assert capsys.readouterr().out == f"exported: {tmp_path / 'served' / '4'}\n"
    options = {"version": 4, "rle_masks": True, "score_threshold": 0.5}
    options |= {"max_detections": 20, "nms_iou": 0.4, "max_pixels": 5000, "input_dtype": "uint8"}
    options["batch_size"] = None
    assert calls == [((("m.keras", model), "served", "tf_saved_model"), options)]


@pytest.mark.parametrize(("word", "batch_size"), [("4", 4), ("any", "any")])
def test_batch_size(word, batch_size, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(export, "load_model", lambda path, weights_file: "model")
    monkeypatch.setattr(
        keras_maskrcnn.export, "export_model", lambda *args, **options: calls.append(options)
    )
    words = ["export", "m.keras", "--output", "m.onnx", "--format", "onnx", "--batch-size", word]
    assert main(words) == 0
    assert calls[0]["batch_size"] == batch_size


def test_int8(tmp_path, capsys, monkeypatch):
    """It is calibrated on the training pictures of the folder, and measured on the others."""
    data = make_data(tmp_path, [(64, 96)] * 5)
    save_dataset(data, tmp_path / "photos", "coco")
    calls = []

    def record(model, path, **options):
        calls.append(options)
        return SimpleNamespace(file=path, summary=lambda: "box_ap 50.00 -> 49.50")

    model = SimpleNamespace(pixels=PixelFormat(value_range=(0, 1)))
    monkeypatch.setattr(export, "load_model", lambda path, weights_file: model)
    monkeypatch.setattr(keras_maskrcnn.export, "export_int8", record)
    words = ["export", "m.keras", "--output", "m.onnx", "--format", "onnx", "--max-loss", "2.5"]
    assert main([*words, "--int8", str(tmp_path / "photos")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["AP of float32 and of int8: box_ap 50.00 -> 49.50", "exported: m.onnx"]
    (options,) = calls
    assert (len(options["calibration"]), len(options["validation"])) == (4, 1)
    assert options["calibration"].pixels == options["validation"].pixels == model.pixels
    assert options["max_loss"] == 2.5
    assert main(words) == 2
    assert "Expected --max-loss only with --int8" in capsys.readouterr().err
    assert main(["export", "m.keras", "--output", "served", "--int8", "photos"]) == 2
    assert "Expected --int8 only with --format onnx" in capsys.readouterr().err
