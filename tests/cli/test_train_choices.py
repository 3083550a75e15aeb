"""A trained model in place of weights: what of it a run takes."""

import argparse
import json
import zipfile
from types import SimpleNamespace

import pytest

from keras_maskrcnn import MaskRCNN
from keras_maskrcnn.cli.train_choices import build_model, complete

SIZES_OF_TILES = {"tile": 256, "min_size": [256], "max_size": 256}


@pytest.fixture
def run(tmp_path):
    """The folder of a run on pictures of four channels."""
    arguments = {"min_size": 320, "max_size": 480, "channels": 4, "value_range": [0, 4095]}
    content = {"registered_name": "keras_maskrcnn>MaskRCNN", "config": arguments}
    with zipfile.ZipFile(tmp_path / "best.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(content))
    return str(tmp_path)


def options(**changes):
    names = ("weights_file", "backbone", "min_size", "max_size", "tile", "channels", "value_range")
    given = {**dict.fromkeys(names), "freeze_at": None, "seed": 3, "set": []}
    return argparse.Namespace(**{**given, **changes})


def test_size_and_pixels_are_those_of_the_model_unless_given(run):
    args = complete(options(weights=run))
    assert (args.min_size, args.max_size, args.backbone) == ([320], 480, None)
    assert (args.channels, args.value_range) == (4, [0, 4095])
    args = complete(options(weights=f"{run}/best.keras", min_size=[64, 96], channels=3))
    assert (args.min_size, args.max_size, args.channels) == ([64, 96], 480, 3)
    with pytest.raises(ValueError, match="Received: --backbone resnet18 with --weights"):
        complete(options(weights=run, backbone="resnet18"))


def test_the_input_is_as_large_as_a_tile(run):
    """Of a whole model, too; a run that goes on has both sizes already."""
    for weights in (run, "imagenet"):
        args = complete(options(weights=weights, tile=256))
        assert (args.min_size, args.max_size) == ([256], 256)
        again = complete(args if weights == "imagenet" else options(weights=run, **SIZES_OF_TILES))
        assert (again.min_size, again.max_size) == ([256], 256)
    for given in ({"min_size": [320]}, {"min_size": [256, 320]}, {"max_size": 400}):
        name = next(iter(given)).replace("_", "-")
        with pytest.raises(ValueError, match=f"Expected --{name} only without --tile"):
            complete(options(weights=run, tile=256, **given))


def test_it_is_made_for_the_classes_of_the_data(run, monkeypatch):
    calls = []
    monkeypatch.setattr(MaskRCNN, "from_model", lambda *args, **given: calls.append((args, given)))
    args = complete(options(weights=run, freeze_at=3, set=["rpn.samples=64"]))
    build_model(args, SimpleNamespace(class_names=["a", "b"]))
    changes = {"num_classes": 2, "class_names": ["a", "b"], "min_size": 320, "max_size": 480}
    changes |= {"seed": 3, "backbone.freeze_at": 3, "rpn.samples": 64}
    assert calls == [((run,), changes)]
