"""A run knows what it was validated on."""

import argparse
import json

import pytest
from helpers import make_data

from keras_maskrcnn.cli.data import described
from keras_maskrcnn.cli.run_data import read_data_of_run
from keras_maskrcnn.data import load_coco, save_dataset


@pytest.fixture
def place(tmp_path):
    """A COCO data set of two splits."""
    splits = {}
    for name, count in (("train", 3), ("val", 2)):
        (tmp_path / name).mkdir()
        splits[name] = make_data(tmp_path / name, [(32, 40)] * count)
    save_dataset(splits, tmp_path / "data", "coco")
    return tmp_path / "data"


def words(run, **more):
    given = dict.fromkeys(
        (
            "data",
            "format",
            "format_set",
            "val_fraction",
            "seed",
            "channels",
            "value_range",
            "display",
        )
    )
    return argparse.Namespace(**{**given, "model": str(run), "split": "val", **more})


def run_folder(path, **data):
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"options": {}, "data": data}))
    return path


def test_a_folder_and_two_pairs(place, tmp_path):
    files = {split: sorted(place.rglob(f"*{split}*.json"))[0] for split in ("train", "val")}
    images = {split: next(p for p in place.rglob(split) if p.is_dir()) for split in files}
    val = load_coco(files["val"], images["val"])
    pairs = [str(part) for split in files for part in (files[split], images[split])]
    for number, source in enumerate((str(place), pairs)):
        run = run_folder(tmp_path / f"run{number}", **{"from": source, "val": described(val)})
        data, told = read_data_of_run(words(run))
        assert [r.path.rsplit("/", 1)[1] for r in data.records] == [
            r.path.rsplit("/", 1)[1] for r in val.records
        ]
        assert told == (pairs[2] if number else str(place))


def test_other_pictures_gone_data_and_no_run(place, tmp_path):
    other = {"digest": "0", "pictures": 7}
    run = run_folder(tmp_path / "run", **{"from": str(place), "val": other})
    with pytest.raises(ValueError, match="Expected the 7 pictures .*run was validated on"):
        read_data_of_run(words(run))
    assert len(read_data_of_run(words(run, split="train"))[0]) == 3
    gone = run_folder(tmp_path / "gone", **{"from": str(tmp_path / "none"), "val": other})
    with pytest.raises(ValueError, match=r"no longer at .*none: give --data"):
        read_data_of_run(words(gone))
    for model in ("best.keras", str(run_folder(tmp_path / "bare"))):
        with pytest.raises(ValueError, match="Expected --data FOLDER"):
            read_data_of_run(words(model))
