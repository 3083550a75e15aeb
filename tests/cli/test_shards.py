"""The commands on shards, of this machine and of a bucket."""

import json

import pytest
from shard_data import noise_data

from keras_maskrcnn.cli import main
from keras_maskrcnn.cli.data import described
from keras_maskrcnn.data import remote_files, save_dataset
from keras_maskrcnn.data.splits import load_split

SMALL = (
    *("--backbone", "resnet18", "--epochs", "1", "--batch-size", "2", "--min-size", "64"),
    *("--max-size", "64", "--set", "neck.channels=16", "--set", "box.dim=16"),
    *("--set", "rpn.samples=16", "--set", "box.samples=8", "--set", "mask.dim=8"),
    *("--set", "mask.convs=1", "--set", "rpn.proposals_train=50", "--set", "rpn.pre_nms_train=50"),
    *("--set", "rpn.proposals_test=20", "--set", "box.max_detections=5"),
)


@pytest.fixture
def folder(tmp_path):
    """A COCO data set of two splits."""
    data = noise_data(tmp_path / "pictures", 7, side=64)
    save_dataset({"train": data[:5], "val": data[5:]}, tmp_path / "coco", verbose=False)
    return tmp_path / "coco"


def call(capsys, *words):
    code = main([str(word) for word in words])
    return code, capsys.readouterr()


def test_convert_validate_and_show(folder, tmp_path, capsys, monkeypatch):
    shards = tmp_path / "shards"
    words = ("convert", "--data", folder, "--to", "tfrecord")
    code, told = call(capsys, *words, "--shards", 2, shards)
    assert (code, told.out) == (0, f"{shards}: TFRecord shards, 7 pictures\n")
    assert sorted(path.name for path in shards.iterdir()) == [
        f"{split}{rest}"
        for split in ("train", "val")
        for rest in ("-00000-of-00002.tfrecord", "-00001-of-00002.tfrecord", ".index.jsonl.gz")
    ]
    code, told = call(capsys, *words[:-1], "coco", "--shards", 2, tmp_path / "x")
    assert code == 2 and "--shards only with --to tfrecord" in told.err
    monkeypatch.setenv(remote_files.CACHE_VARIABLE, str(tmp_path / "cache"))
    for place in (shards, f"file://{shards}"):
        report = ("--output", tmp_path / "report")
        code, told = call(capsys, "validate", "--data", place, *report, "--min-size", 64)
        assert code == 0, told
        content = json.loads((tmp_path / "report" / "report.json").read_text())
        assert {k: v["pictures"] for k, v in content["splits"].items()} == {"train": 5, "val": 2}
        page = ("--output", tmp_path / "page.png", "--min-size", 64, "--pictures", 2)
        assert call(capsys, "show", "--data", place, "--split", "train", *page)[0] == 0
    fix = ("--fix", tmp_path / "fixed.json", *report)
    code, told = call(capsys, "validate", "--data", shards, *fix)
    assert code == 2 and "Expected pictures that are files where --fix" in told.err
    # Back from the bucket, and nothing is lost.
    back = tmp_path / "back"
    words = ("convert", "--data", f"file://{shards}", "--split", "val", "--to", "coco", back)
    assert call(capsys, *words)[0] == 0
    assert len(list((back / "train").iterdir())) == 2
    code, told = call(
        capsys, "convert", "--data", "file:///nowhere", "--to", "coco", tmp_path / "y"
    )
    assert code == 2 and "Cannot list file:///nowhere" in told.err


@pytest.mark.slow  # A run.
def test_train_on_a_bucket_and_evaluate(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv(remote_files.CACHE_VARIABLE, str(tmp_path / "cache"))
    shards, run = tmp_path / "shards", tmp_path / "run"
    assert call(capsys, "convert", "--data", folder, "--to", "tfrecord", shards)[0] == 0
    bucket = f"file://{shards}"
    code, told = call(capsys, "train", "--data", bucket, "--output", run, *SMALL)
    assert code == 0, told
    assert json.loads((run / "config.json").read_text())["data"]["from"] == bucket
    # The run knows its data; shards that are cut in another way, and files, are the same pictures.
    others = tmp_path / "others"
    words = ("convert", "--data", shards, "--to", "tfrecord", "--shards", 1, others)
    assert call(capsys, *words)[0] == 0
    told = [
        call(capsys, "evaluate", run, *place)
        for place in ((), ("--data", others), ("--data", folder))
    ]
    assert [code for code, _ in told] == [0, 0, 0]
    digests = {described(load_split(place, split="val"))["digest"] for place in (others, folder)}
    assert len(digests) == 1
