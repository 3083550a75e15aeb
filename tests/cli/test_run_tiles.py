"""A run that was trained on crops looks at pictures in tiles, without being told again."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import make_data

from keras_maskrcnn.cli import benchmark, evaluate, export, main, predict
from keras_maskrcnn.cli.data import described
from keras_maskrcnn.data import load_dataset, save_dataset
from keras_maskrcnn.images.pixels import PixelFormat
from keras_maskrcnn.results import Detections

PLACES = [(32, 40)]


def run_folder(path, **options):
    """The folder of a run whose validation pictures are those of its data."""
    save_dataset(
        {split: make_data(path.parent, PLACES) for split in ("train", "val")},
        path / "data",
        "coco",
        verbose=False,
    )
    val = described(load_dataset(path / "data", split="val", verbose=False))
    config = {"options": options, "data": {"from": str(path / "data"), "val": val}}
    (path / "config.json").write_text(json.dumps(config))
    return path


@pytest.fixture
def seen(monkeypatch):
    """How pictures were looked at, by either command."""
    kept = []

    def ask_model(args):
        kept.append((args.tile, args.overlap))
        none = np.zeros((0, 4)), np.zeros(0, int), np.zeros(0)
        return lambda file: Detections(*none, None, (32, 40), ("a", "b")), PixelFormat()

    def compare(model, data, **options):
        kept.append((options["tile"], options["overlap"]))
        raise ValueError("it is enough")

    monkeypatch.setattr(predict, "_ask_model", ask_model)
    monkeypatch.setattr(evaluate, "load_model", lambda *_: SimpleNamespace(pixels=PixelFormat()))
    monkeypatch.setattr("keras_maskrcnn.evaluation.coco.compare_model", compare)
    return kept


LINE = "In tiles of {} pixels that overlap by {}, as in training; {}/best.keras looks at whole"


@pytest.mark.parametrize(
    ("kept", "words", "expected"),
    [
        ({"tile": 24, "overlap": 4}, "", (24, 4)),
        ({"tile": 24, "overlap": None}, "", (24, 3)),
        ({"tile": 24, "overlap": 4}, "--overlap 5", (24, 5)),
        ({"tile": 24, "overlap": 4}, "--tile 16", (16, None)),
        ({"tile": 24, "overlap": 4}, "--tta", (None, None)),
        ({"tile": None, "overlap": None}, "", (None, None)),
        ({}, "", (None, None)),
    ],
)
def test_where_nothing_is_said_the_run_counts(kept, words, expected, tmp_path, seen, capsys):
    run = run_folder(tmp_path / "run", **kept)
    picture = next((run / "data").rglob("*.png"))
    output = str(tmp_path / "found")
    assert main(["predict", str(run), str(picture), "--output", output, *words.split()]) == 0
    assert main(["evaluate", str(run), *words.split()]) == 2
    told = capsys.readouterr()
    assert "it is enough" in told.err and seen == [expected] * 2
    is_told = kept.get("tile") == expected[0] is not None
    assert told.out.count(LINE.format(*expected, run)) == 2 * is_told


def test_sizes_and_a_model_file_go_before(tmp_path, seen, capsys):
    run = run_folder(tmp_path / "run", tile=24, overlap=4)
    assert main(["evaluate", str(run), "--min-size", "32"]) == 2
    data = str(run / "data")
    assert main(["evaluate", str(run / "best.keras"), "--data", data]) == 2
    bare = tmp_path / "bare"  # As `train_model` of Python leaves one, without config.json.
    bare.mkdir()
    picture = str(next((run / "data").rglob("*.png")))
    assert main(["predict", str(bare), picture, "--output", str(tmp_path / "found")]) == 0
    assert seen == [(None, None)] * 3 and "In tiles" not in capsys.readouterr().out
    # Together with an overlap that is none of its tiles.
    assert main(["predict", str(run), picture, "--overlap", "12"]) == 2
    assert "overlap must be less than half of tile" in capsys.readouterr().err


def test_videos_and_archives_have_no_tiles(tmp_path, monkeypatch, capsys):
    run = run_folder(tmp_path / "run", tile=24, overlap=4)
    for name in ("run_videos", "run_archive"):
        monkeypatch.setattr(predict, name, lambda *_: 0)
    assert main(["predict", str(run), "clip.mp4"]) == 0
    assert main(["predict", str(run), "--input", "archive"]) == 0
    end = f" are looked at as a whole, though {run} was trained on tiles of 24 pixels"
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"Frames{end}", f"Pictures of an archive{end}"]


def test_speed_and_int8_are_of_whole_pictures(tmp_path, monkeypatch, capsys):
    run = run_folder(tmp_path / "run", tile=24, overlap=4)
    picture = str(next((run / "data").rglob("*.png")))

    def enough(*_, **options):
        raise ValueError("it is enough")

    for name in ("training.speed.predict_speed", "export.export_int8"):
        monkeypatch.setattr(f"keras_maskrcnn.{name}", enough)
    monkeypatch.setattr(export, "load_model", lambda *_: SimpleNamespace(pixels=PixelFormat()))
    monkeypatch.setattr(benchmark, "load_model", lambda *_: None)
    assert main(["benchmark", str(run), picture]) == 2
    words = ["export", str(run), "--format", "onnx", "--int8", str(run / "data")]
    assert main([*words, "--output", str(tmp_path / "a.onnx")]) == 2
    end = f" are looked at as a whole, though {run} was trained on tiles of 24 pixels\n"
    told = capsys.readouterr()
    assert f"Pictures{end}" in told.out and f"Pictures for int8{end}" in told.out
    assert told.err.count("it is enough") == 2
