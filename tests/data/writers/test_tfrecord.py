"""Shards: what is in them by TensorFlow's own reader, and that nothing of the data is lost."""

import gzip
import io
import json

import numpy as np
import pytest
import tensorflow as tf
from format_files import load
from PIL import Image
from shard_data import awkward_data, contents, noise_data

from keras_maskrcnn.data import load_shards, save_dataset
from keras_maskrcnn.data.picture_files import read_picture_file
from keras_maskrcnn.data.reading import read_picture
from keras_maskrcnn.data.writers import tfrecord


def examples(file):
    """What TensorFlow reads, which checks the checksums too."""
    dataset = tf.data.TFRecordDataset(str(file))
    return [tf.train.Example.FromString(record.numpy()).features.feature for record in dataset]


def test_all_of_the_records_comes_back(tmp_path):
    data = awkward_data(tmp_path / "from")
    saved = save_dataset(data, tmp_path / "to", "tfrecord", shards=2, verbose=False)
    # TensorFlow's decoders pass over the orientation of the last picture.
    assert [line.partition(":")[0] for line in saved.losses] == ["turned.jpg"]
    back = load_shards(tmp_path / "to", on_error="raise")
    assert contents(back) == contents(data)
    assert (back.class_names, back.category_ids) == (data.class_names, data.category_ids)
    assert back.keypoint_names == data.keypoint_names
    assert back.keypoint_flip_pairs == data.keypoint_flip_pairs
    assert [record.bits for record in back.records] == [8, 16, 8]
    for old, new in zip(data.records, back.records, strict=True):
        with open(old.path, "rb") as file:
            assert read_picture_file(new.path) == file.read()
        np.testing.assert_array_equal(read_picture(new), read_picture(old))
    # And once more, from shards to other shards, and to files.
    save_dataset(back, tmp_path / "again", "tfrecord", shards=3, verbose=False)
    assert contents(load_shards(tmp_path / "again")) == contents(data)
    save_dataset(back, tmp_path / "coco", "coco", verbose=False)
    names = sorted(path.name for path in (tmp_path / "coco" / "train").iterdir())
    assert names == ["deep.png", "turned.jpg", "ü b.jpg"]
    assert (tmp_path / "coco" / "train" / "deep.png").read_bytes() == (
        tmp_path / "from" / "deep.png"
    ).read_bytes()


def test_examples_by_tensorflow(tmp_path):
    data = awkward_data(tmp_path / "from")
    save_dataset(data, tmp_path / "to", "tfrecord", shards=2, verbose=False)
    first = examples(tmp_path / "to" / "train-00000-of-00002.tfrecord")
    second = examples(tmp_path / "to" / "train-00001-of-00002.tfrecord")
    ids = [[e["image/source_id"].bytes_list.value[0] for e in part] for part in (first, second)]
    assert ids == [[b"40", str(2**60).encode()], [b"-3"]]
    example = first[0]
    assert example["image/encoded"].bytes_list.value[0] == (
        (tmp_path / "from" / "ü b.jpg").read_bytes()
    )
    assert example["image/format"].bytes_list.value == [b"jpeg"]
    assert example["image/filename"].bytes_list.value == ["ü b.jpg".encode()]
    assert (
        *example["image/height"].int64_list.value,
        *example["image/width"].int64_list.value,
    ) == (
        60,
        80,
    )
    # The ninth object's box is 50.5, 45, 70, 58.25.
    sides = [
        example[f"image/object/bbox/{name}"].float_list.value[8]
        for name in ("xmin", "ymin", "xmax", "ymax")
    ]
    np.testing.assert_allclose(sides, [50.5 / 80, 45 / 60, 70 / 80, 58.25 / 60])
    assert example["image/object/class/label"].int64_list.value[:3] == [9, 2, 9]
    assert example["image/object/class/text"].bytes_list.value[1] == "Birne ä".encode()
    assert example["image/object/is_crowd"].int64_list.value == [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]
    assert Image.open(io.BytesIO(second[0]["image/encoded"].bytes_list.value[0])).mode == "I;16"
    assert not second[0]["image/object/class/label"].int64_list.value
    # The index has the annotations of the records, and says where these are.
    with gzip.open(tmp_path / "to" / "train.index.jsonl.gz", "rt") as file:
        head, *lines = map(json.loads, file)
    assert head["shards"] == [
        {
            "file": f"train-0000{k}-of-00002.tfrecord",
            "pictures": 2 - k,
            "bytes": (tmp_path / "to" / f"train-0000{k}-of-00002.tfrecord").stat().st_size,
        }
        for k in range(2)
    ]
    for line, example in zip(lines, (first[0], second[0], first[1]), strict=True):
        told = json.loads(example["maskrcnn/annotations"].bytes_list.value[0])
        assert told == {k: v for k, v in line.items() if k not in ("shard", "offset", "length")}


def test_shards_are_alike_and_there_are_no_more_than_pictures(tmp_path, monkeypatch):
    data = noise_data(tmp_path / "from", 11)
    save_dataset(data, tmp_path / "to", "tfrecord", shards=4, verbose=False)
    numbers = [
        [int(e["image/source_id"].bytes_list.value[0]) - 100 for e in examples(file)]
        for file in sorted((tmp_path / "to").glob("*.tfrecord"))
    ]
    assert numbers == [[0, 4, 8], [1, 5, 9], [2, 6, 10], [3, 7]]
    splits = {"train": data, "val": data[:3]}
    save_dataset(splits, tmp_path / "splits", "tfrecord", shards=4, verbose=False)
    assert [len(load(tmp_path / "splits", split=split)) for split in splits] == [11, 3]
    names = sorted(path.name for path in (tmp_path / "splits").glob("val*"))
    assert names == [*(f"val-0000{k}-of-00003.tfrecord" for k in range(3)), "val.index.jsonl.gz"]
    # By default, as many as have the wanted size: here, of two pictures.
    sizes = [(tmp_path / "from" / f"{k:03}.png").stat().st_size for k in range(11)]
    monkeypatch.setattr(tfrecord, "_SHARD_BYTES", sum(sizes) // 5)
    save_dataset(data, tmp_path / "default", "tfrecord", verbose=False)
    assert len(list((tmp_path / "default").glob("*.tfrecord"))) == 6


def test_equal_data_make_equal_files(tmp_path):
    data = awkward_data(tmp_path / "from")
    for name in ("a", "b"):
        save_dataset(data, tmp_path / name, "tfrecord", shards=1, verbose=False)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_what_is_interrupted_is_not_taken_for_whole(tmp_path, monkeypatch):
    data = noise_data(tmp_path / "from", 5)
    before = tfrecord.open_picture_file
    read = []

    def failing(path):
        read.append(path)
        if len(read) == 5:
            raise KeyboardInterrupt
        return before(path)

    monkeypatch.setattr(tfrecord, "open_picture_file", failing)
    with pytest.raises(KeyboardInterrupt):
        save_dataset(data, tmp_path / "to", "tfrecord", shards=2, verbose=False)
    # The first shard is whole; of the second nothing is left, and there is no index.
    assert [file.name for file in (tmp_path / "to").iterdir()] == ["train-00000-of-00002.tfrecord"]
    with pytest.raises(ValueError, match=r"to: expected train.index.jsonl.gz beside the shards"):
        load(tmp_path / "to")


def test_what_is_refused(tmp_path):
    data = noise_data(tmp_path / "from", 2)
    with pytest.raises(ValueError, match=r"cannot be linked. Received: link=True"):
        save_dataset(data, tmp_path / "to", "tfrecord", link=True)
    with pytest.raises(ValueError, match=r"shards only with format='tfrecord'.*shards=2 for COCO"):
        save_dataset(data, tmp_path / "to", "coco", shards=2)
    with pytest.raises(ValueError, match=r"shards must be at least 1. Received: shards=0"):
        save_dataset(data, tmp_path / "to", "tfrecord", shards=0)
    with pytest.raises(ValueError, match=r"at least one picture that can be written as TFRecord"):
        save_dataset(data[:0], tmp_path / "to", "tfrecord")
    assert not (tmp_path / "to").exists()


def test_image_ids_that_occur_twice(tmp_path):
    data = noise_data(tmp_path / "from", 3)
    data.records[2] = data.records[0]
    saved = save_dataset(data, tmp_path / "to", "tfrecord", verbose=False)
    reason = "image ids are counted from 1, since some occur twice"
    assert {reason: 1}.items() <= saved.reasons.items()
    assert [record.image_id for record in load(tmp_path / "to").records] == [1, 2, 3]
