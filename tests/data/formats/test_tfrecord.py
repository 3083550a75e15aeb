"""Shards that are broken, and where they are found."""

import gzip
import json

import pytest
from format_files import load
from shard_data import noise_data

from keras_maskrcnn.data import FORMATS, Source, dataset_splits, load_shards, save_dataset
from keras_maskrcnn.data.readable import leave_out_unreadable
from keras_maskrcnn.data.reading import read_picture
from keras_maskrcnn.data.shard_files import shard_place

PICTURES = 6


@pytest.fixture
def folder(tmp_path):
    data = noise_data(tmp_path / "from", PICTURES)
    save_dataset(data, tmp_path / "to", "tfrecord", shards=2, verbose=False)
    return tmp_path / "to"


def index_of(folder):
    return folder / "train.index.jsonl.gz"


def change(folder, edit):
    """Writes the index anew, with its lines changed."""
    lines = [
        json.loads(line)
        for line in gzip.decompress(index_of(folder).read_bytes()).split(b"\n")[:-1]
    ]
    lines = edit(lines) or lines
    text = "".join(json.dumps(line) + "\n" for line in lines)
    index_of(folder).write_bytes(gzip.compress(text.encode()))


def test_they_are_found(folder, tmp_path):
    assert list(FORMATS.that_find(Source(folder))) == ["tfrecord"]
    assert dataset_splits(folder) == ["train"]
    assert len(load(folder)) == len(load(index_of(folder))) == PICTURES
    assert load(folder).name == "to_train"
    # Folders of splits, too.
    (tmp_path / "both").mkdir()
    folder.rename(tmp_path / "both" / "train")
    save_dataset(
        noise_data(tmp_path / "b", 2), tmp_path / "both" / "val", "tfrecord", verbose=False
    )
    assert dataset_splits(tmp_path / "both") == ["train", "val"]
    assert len(load(tmp_path / "both", split="val")) == 2
    # A name that only looks so.
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.tfrecord").touch()
    assert not FORMATS.that_find(Source(tmp_path / "other"))
    with pytest.raises(ValueError, match=r"expected the shards of one split.*Received: none"):
        load_shards(tmp_path / "other")


def test_the_caller_orders_the_classes(folder):
    data = load_shards(folder, class_names=["Birne ä", "red fig", "third"])
    assert data.class_names == ["Birne ä", "red fig", "third"] and data.category_ids == [2, 1, 5]
    categories = [o.category for record in data.records for o in record.instances]
    assert categories == [1, 0, 1, 1, 0]
    with pytest.warns(UserWarning, match=r"2 x unknown class"):
        data = load_shards(folder, class_names=["red fig"])
    assert data.warnings[0] == "image id 101, object 0: unknown class (Birne ä)"
    assert len(data) == PICTURES


def test_a_truncated_shard(folder):
    shard = folder / "train-00001-of-00002.tfrecord"
    place = shard_place(load(folder).records[3].path)
    whole = shard.stat().st_size
    with open(shard, "r+b") as file:
        file.truncate(place.offset + 20)
    message = (
        rf"{shard}: expected {whole} bytes, as its index says. Received: {place.offset + 20}, of "
        rf"which the record at byte {place.offset}, picture 003.png, is the first that is not whole"
    )
    with pytest.raises(ValueError, match=message):
        load(folder)
    with pytest.raises(
        ValueError, match=rf"byte {place.offset} of {shard}, picture 003.png: the shard ends \d+ b"
    ):
        read_picture(data_with(place).records[0])


def data_with(place):
    from keras_maskrcnn.data import DetectionData, ImageRecord

    return DetectionData([ImageRecord(1, str(place), 24, 24)], ["a"], [1])


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ("length", "CRC-32C\\) of its length"),
        ("picture", "CRC-32C\\) of its content"),
        ("end", "of its content"),
    ],
)
def test_a_bit_is_wrong(folder, part, reason):
    data = load(folder)
    place = shard_place(data.records[2].path)
    at = {"length": 3, "picture": 12 + place.length // 2, "end": 12 + place.length + 1}[part]
    with open(place.shard, "r+b") as file:
        file.seek(place.offset + at)
        (byte,) = file.read(1)
        file.seek(place.offset + at)
        file.write(bytes([byte ^ 4]))
    where = f"id 102: Cannot read the record at byte {place.offset} of {place.shard}, picture"
    with pytest.raises(ValueError, match=rf"{where} 002.png: .*{reason}"):
        read_picture(data.records[2])
    with pytest.raises(Exception, match=r"picture 002.png"):
        list(data.batches(2, min_size=32))
    kept = leave_out_unreadable(data)
    assert len(kept) == PICTURES - 1 and "picture 002.png" in kept.warnings[-1]


def test_a_record_that_is_something_else(folder):
    data = load(folder)
    place = shard_place(data.records[0].path)
    for other in (place._replace(offset=8), place._replace(length=place.length - 1)):
        with pytest.raises(
            ValueError, match=rf"record at byte {other.offset} of .*picture 000.png"
        ):
            read_picture(data_with(other).records[0])
    gone = place._replace(shard=f"{folder}/gone-00000-of-00001.tfrecord")
    with pytest.raises(ValueError, match=r"gone-00000-of-00001.tfrecord, picture 000.png: No such"):
        read_picture(data_with(gone).records[0])
    with pytest.raises(ValueError, match=r"expected less than \d+ bytes"):
        read_picture(data_with(place._replace(length=1 << 40)).records[0])


def test_a_missing_shard_or_index(folder):
    shard = folder / "train-00001-of-00002.tfrecord"
    shard.rename(folder / "elsewhere")
    with pytest.raises(ValueError, match=rf"index.jsonl.gz: a shard is missing \({shard}\)"):
        load(folder)
    index_of(folder).unlink()
    with pytest.raises(ValueError, match=r"expected train.index.jsonl.gz beside the shards, which"):
        load(folder)


def test_a_damaged_index(folder):
    whole = index_of(folder).read_bytes()
    for content in (whole[:-9], whole[:40], b"", b"no gzip", whole[:60] + b"xx" + whole[62:]):
        index_of(folder).write_bytes(content)
        with pytest.raises(ValueError, match=r"train.index.jsonl.gz: "):
            load(folder)
    index_of(folder).write_bytes(gzip.compress(b"[1]\n"))
    with pytest.raises(ValueError, match=r"train.index.jsonl.gz: entry is no JSON object"):
        load(folder)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("version", 2, r"expected an index of kind 'maskrcnn shards', version 1"),
        ("kind", None, r"expected an index of kind"),
        ("class_names", ["a"], r"expected an id for each class"),
        ("class_names", [1, 2], r"expected classes with a text as name"),
        ("keypoint_flip_pairs", [[0, 1]], r"flip pair is not two numbers of keypoints"),
        ("shards", [{"file": "../a-00000-of-00001.tfrecord", "bytes": 1}], r"no name of one"),
        ("pictures", 7, r"expected 7 pictures. Received: 6"),
    ],
)
def test_a_wrong_first_line(folder, key, value, message):
    change(folder, lambda lines: lines[0].update({key: value}))
    with pytest.raises(ValueError, match=rf"train.index.jsonl.gz: .*{message}|{message}"):
        load(folder)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("id", "a", "line 2: id is no integer"),
        ("id", 101, "line 3: its image id occurs twice"),
        ("name", "../a.png", "line 2: name of the picture is no file's"),
        ("shard", 2, "line 2: picture lies in no shard"),
        ("offset", -1, "line 2: picture lies in no shard"),
        ("height", 0, "line 2: height, width or bits are not positive"),
        ("width", 10**9, "line 2: picture has more than"),
        ("objects", None, "line 2: objects is no list"),
    ],
)
def test_a_wrong_picture(folder, key, value, reason):
    change(folder, lambda lines: lines[1].update({key: value}))
    assert len(load(folder, reason)) == PICTURES - 1


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("class", 2, "unknown class"),
        ("box", [0, 0, 500, 5], "box reaches out of its picture"),
        ("box", [0, 0, float("nan"), 5], "box is not four finite numbers"),
        ("crowd", 1, "crowd is neither true nor false"),
        ("attributes", {"a": "b"}, "attributes are not finite numbers"),
        ("keypoints", [1, 2, 2], "keypoints are not x, y and visibility 0, 1 or 2 of 0 points"),
        ("outline", {"polygons": [[[1, 2, 3, 4]]]}, "loop of a polygon is not x, y of at least"),
        ("outline", {"polygons": [[]]}, "polygons are no lists of loops"),
        ("outline", {"circle": []}, "outline is of no known kind"),
        ("outline", {"rle": {"size": [2, 2], "counts": [1, 2]}}, "do not add up to its size"),
        ("outline", {"rle": {"size": [2, 2], "counts": [-1, 5]}}, "do not add up to its size"),
        ("outline", {"rle": {"size": [2, 2], "counts": "~"}}, "cannot be decoded"),
        ("outline", {"bitmap": {"size": [10**6, 10**6], "counts": ""}}, "is not within"),
        ("id", 2**70, "id is beyond 64 bits"),
    ],
)
def test_a_wrong_object(folder, key, value, reason):
    change(folder, lambda lines: lines[1]["objects"][0].update({key: value}))
    data = load(folder, "image id 100, object 0: ")
    assert reason in data.warnings[0]
    assert len(data) == PICTURES and not data.records[0].instances
