"""`maskrcnn presets`, and a published model's name in place of a model."""

import argparse
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from keras_maskrcnn import MaskRCNN
from keras_maskrcnn.cli import main
from keras_maskrcnn.cli.options import load_model
from keras_maskrcnn.cli.train_choices import build_model, complete
from keras_maskrcnn.models.presets import PRESETS

NAME = "mask_rcnn_R_50_FPN"
LSJ = "mask_rcnn_regnety_4gf_dds_FPN_400ep_LSJ"


@pytest.fixture
def built(monkeypatch, tmp_path):
    """Calls of `MaskRCNN.from_preset`; the folder that commands run in."""
    calls = []

    def from_preset(name, **options):
        calls.append((name, options))
        return SimpleNamespace(name=name)

    monkeypatch.setattr(MaskRCNN, "from_preset", from_preset)
    monkeypatch.chdir(tmp_path)
    return calls


def options(**changes):
    """Those of `maskrcnn train` that a model depends on."""
    given = {"weights": None, "weights_file": None, "backbone": None, "seed": 3, "set": []}
    given["freeze_at"] = None
    none = dict.fromkeys(("min_size", "max_size", "tile", "overlap"))
    return argparse.Namespace(**{**given, **none, **changes})


def test_the_list_needs_neither_tensorflow_nor_keras():
    script = """
import sys
from keras_maskrcnn.cli import main
code = main(["presets"])
print(code, sorted({"tensorflow", "keras"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
    )
    heading, *rows, last = done.stdout.splitlines()
    assert last == "0 []", done.stdout + done.stderr
    assert heading.startswith("preset ")
    rows = [row for row in rows if not row.startswith("[")]
    assert [row.split()[0] for row in rows] == list(PRESETS)
    assert max(map(len, rows)) <= 100
    (row,) = [row for row in rows if row.startswith(LSJ)]
    assert row.split()[1:5] == ["48.2", "43.3", "41.9", "M"]


def test_a_published_model_by_its_name(built, tmp_path):
    assert load_model(NAME).name == NAME
    load_model(NAME, "here.pkl")
    assert built == [(NAME, {"weights_file": None}), (NAME, {"weights_file": "here.pkl"})]
    with pytest.raises(ValueError, match=r"run folder, or the name .*Did you mean 'mask_rcnn_R_50"):
        load_model("mask_rcnn_R_50_FNP")
    with pytest.raises(ValueError, match="--weights-file w.pkl with m.keras"):
        load_model("m.keras", "w.pkl")
    # A folder of that name is a run.
    (tmp_path / NAME).mkdir()
    with pytest.raises(ValueError, match=rf"Received: {NAME}/best\.keras"):
        load_model(NAME)
    assert len(built) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("predict", "p.jpg", "--server", "http://h"), "with --server http://h"),
        (("serve", "--port", "0"), "with served"),
        (("evaluate", "--results", "r.json"), "Received: --weights-file with --results"),
        (("train", "--data", "d", "--weights", "imagenet"), "with --weights imagenet"),
    ],
)
def test_a_weights_file_of_nothing_is_refused(built, tmp_path, words, message, capsys):
    (tmp_path / "p.jpg").touch()
    (tmp_path / "served" / "1").mkdir(parents=True)
    (tmp_path / "served" / "1" / "saved_model.pb").touch()
    command, *rest = words
    model = {"predict": ["m"], "serve": ["served"]}.get(command, [])
    assert main([command, *model, *rest, "--weights-file", "w.pkl"]) == 2
    error = capsys.readouterr().err
    assert "Expected --weights-file only with" in error and message in error
    assert error.count("\n") == 1 and not built


def test_what_a_run_takes_of_a_published_model(built):
    assert vars(complete(options())) == {
        **vars(options()),
        **{"backbone": "resnet50", "min_size": [800], "max_size": 1333},
    }
    args = complete(options(weights=LSJ))
    assert (args.backbone, args.min_size, args.max_size) == (None, [1024], 1024)
    # As `--resume` does.
    assert complete(args) == args
    args = complete(options(weights=LSJ, weights_file="w.pkl", min_size=[320, 512], max_size=640))
    args.set = ["mask.dim=128", "size_divisor=64"]
    build_model(args, SimpleNamespace(class_names=["a", "b"]))
    changes = {"num_classes": 2, "class_names": ["a", "b"], "min_size": 512, "max_size": 640}
    changes |= {"seed": 3, "mask.dim": 128, "size_divisor": 64, "weights_file": "w.pkl"}
    assert built == [(LSJ, changes)]
    with pytest.raises(ValueError, match=f"Received: --backbone resnet18 with --weights {NAME}"):
        complete(options(weights=NAME, backbone="resnet18"))


@pytest.mark.parametrize("name", ["resnet18", "regnetx_4gf", "MobileNetV3Small"])
def test_random_weights_train_whole(monkeypatch, name):
    seen = []
    monkeypatch.setattr(MaskRCNN, "__init__", lambda self, **given: seen.append(given))
    build_model(complete(options(backbone=name)), SimpleNamespace(class_names=["a"]))
    norm = {} if name.startswith("Mobile") else {"norm": "batch"}
    assert seen[0]["backbone"] == {"name": name, "freeze_at": 0, **norm}
