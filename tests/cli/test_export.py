"""`maskrcnn export`: what it asks of `export_model`, and what it says."""

import keras
import pytest

import keras_maskrcnn.export
from keras_maskrcnn.cli import export, main


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
    assert calls == [((("m.keras", model), "served", "tf_saved_model"), options)]
