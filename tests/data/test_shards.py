"""Training on shards: the batches of the same pictures as files, in any order, on any worker."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from shard_data import awkward_data, noise_data

from keras_maskrcnn.data import (
    load_shards,
    passes,
    remote_files,
    save_dataset,
    split_data,
    worker_part,
)
from keras_maskrcnn.data.loading import _has_depth
from keras_maskrcnn.data.reading import read_image
from keras_maskrcnn.data.shard_files import name_as_file, shard_numbers, shard_place
from keras_maskrcnn.inference.many.reading import read_ahead

SMALL = {"min_size": 32, "max_size": 64}


@pytest.fixture
def both(tmp_path):
    """Pictures as files and in five shards."""
    data = noise_data(tmp_path / "from", 23)
    save_dataset(data, tmp_path / "to", "tfrecord", shards=5, verbose=False)
    return data, load_shards(tmp_path / "to")


def ids(dataset):
    return [int(key) for _, targets in dataset for key in targets["image_ids"]]


def assert_same_batches(first, second):
    assert first.cardinality() == second.cardinality()
    for a, b in zip(first, second, strict=True):
        tf.nest.assert_same_structure(a, b)
        for one, other in zip(tf.nest.flatten(a), tf.nest.flatten(b), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shuffle": True, "seed": 3, "augment": ["flip", "copy_paste", "color"]},
        {"shuffle": True, "seed": 4, "sampling": "repeat_factor", "cache": True},
        {"whole_masks": True},
    ],
)
def test_the_numbers_are_those_of_files(both, options):
    data, shards = both
    assert_same_batches(data.batches(4, **SMALL, **options), shards.batches(4, **SMALL, **options))


def test_crops_are_those_of_files(both):
    data, shards = both
    options = {"tile": 16, "overlap": 4, "shuffle": True, "seed": 3, "augment": ["flip"]}
    assert_same_batches(data.batches(4, **options), shards.batches(4, **options))


@pytest.mark.parametrize("tiles", [{}, {"tile": 16, "overlap": 4}])
def test_shares_of_batches(both, monkeypatch, tiles):
    monkeypatch.setattr(passes, "SHUFFLED_PICTURES", 8)
    _, shards = both
    options = {"shuffle": True, "seed": 2, "drop_remainder": True, **(tiles or SMALL)}
    whole = np.reshape(ids(shards.batches(4, **options)), (-1, 2, 2))
    for part in range(2):
        own = ids(shards.batches(4, **options, share=(part, 2)))
        np.testing.assert_array_equal(np.reshape(own, (-1, 2)), whole[:, part])


def test_awkward_pictures_too(tmp_path):
    data = awkward_data(tmp_path / "from")
    save_dataset(data, tmp_path / "to", "tfrecord", shards=3, verbose=False)
    options = {**SMALL, "masks": False}
    assert_same_batches(
        data.batches(2, **options), load_shards(tmp_path / "to").batches(2, **options)
    )


def test_depth_is_known_without_opening_shards(tmp_path):
    save_dataset(awkward_data(tmp_path / "from"), tmp_path / "to", "tfrecord", verbose=False)
    data = load_shards(tmp_path / "to")
    for file in (tmp_path / "to").glob("*.tfrecord"):
        file.unlink()
    assert _has_depth(data) and not _has_depth(data[[0, 2]])
    with pytest.raises(Exception, match=r"train-00000-of-00001.tfrecord, picture ü b.jpg: No such"):
        next(iter(data.batches(1, **SMALL, masks=False)))


def test_each_picture_once_in_each_pass_by_shards(both, monkeypatch):
    data, shards = both
    # Two of the five shards have at least nine pictures.
    monkeypatch.setattr(passes, "SHUFFLED_PICTURES", 8)
    batches = shards.batches(4, **SMALL, shuffle=True, seed=1)
    first, second = ids(batches), ids(batches)
    assert sorted(first) == sorted(second) == list(range(100, 123))
    assert first != second and first != sorted(first)
    assert ids(shards.batches(4, **SMALL, shuffle=True, seed=1, first_pass=1)) == second
    assert first != ids(data.batches(4, **SMALL, shuffle=True, seed=1))
    numbers = dict(zip(range(100, 123), shard_numbers(shards.records), strict=True))
    # The first eight pictures are of two shards, or of three where the second ends within a batch.
    assert len({numbers[key] for key in first[:8]}) <= 3


def test_threads_change_no_order(both, monkeypatch):
    _, shards = both
    monkeypatch.setattr(passes, "SHUFFLED_PICTURES", 8)
    orders = []
    for threads in (1, 4):
        options = tf.data.Options()
        options.threading.private_threadpool_size = threads
        batches = shards.batches(2, **SMALL, shuffle=True, seed=1, augment="flip")
        orders.append([(i.numpy(), t["boxes"].numpy()) for i, t in batches.with_options(options)])
    for one, other in zip(*orders, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_each_worker_has_its_own_shards(both):
    _, shards = both
    parts = [worker_part(shards, worker, 2) for worker in range(2)]
    found = [ids(part.batches(3, **SMALL, shuffle=True, seed=5)) for part in parts]
    assert sorted(found[0] + found[1]) == list(range(100, 123))
    names = [{shard_place(record.path).shard for record in part.records} for part in parts]
    assert not names[0] & names[1] and [len(part) for part in names] == [3, 2]
    for wrong, message in (((2, 2), "worker to be in 0..1"), ((0, 6), "Received: 5 shards")):
        with pytest.raises(ValueError, match=message):
            worker_part(shards, *wrong)
    with pytest.raises(ValueError, match="Expected data in shards"):
        worker_part(both[0], 0, 2)


def test_workers_of_a_multiple_of_shards_have_equal_parts(tmp_path):
    save_dataset(
        noise_data(tmp_path / "a", 22), tmp_path / "b", "tfrecord", shards=6, verbose=False
    )
    data = load_shards(tmp_path / "b")
    assert [len(worker_part(data, worker, 3)) for worker in range(3)] == [8, 7, 7]


def test_auto_sharding_by_data_is_exact(both):
    """What MultiWorkerMirroredStrategy does to each worker's data set."""
    _, shards = both
    found = []
    for worker in range(2):
        batches = shards.batches(4, **SMALL, shuffle=True, seed=2)
        policy = tf.data.experimental.AutoShardPolicy.DATA
        types = tf.nest.map_structure(lambda s: s.dtype, tf.nest.flatten(batches.element_spec))
        shapes = tf.nest.map_structure(lambda s: s.shape, tf.nest.flatten(batches.element_spec))
        variant = tf.raw_ops.AutoShardDataset(
            input_dataset=tf.data.experimental.to_variant(batches),
            num_workers=2,
            index=worker,
            auto_shard_policy=policy.value,
            output_types=types,
            output_shapes=shapes,
        )
        found.append(ids(tf.data.experimental.from_variant(variant, batches.element_spec)))
    assert sorted(found[0] + found[1]) == list(range(100, 123))
    assert len(found[0]) == 12 and len(found[1]) == 11


def test_splits_are_those_of_files(tmp_path):
    """Copies of one photo stay together, and the choice is the same however shards are cut."""
    data = noise_data(tmp_path / "train", 12)
    for number, record in enumerate(data.records):
        new = str(tmp_path / "train" / f"{'abcdef'[number // 2]}.rf.{number}.png")
        os.rename(record.path, new)
        object.__setattr__(record, "path", new)
    val = [r.image_id for r in split_data(data, 0.3)[1].records]
    assert len(val) == 4
    for count in (1, 3):
        save_dataset(data, tmp_path / f"{count}", "tfrecord", shards=count, verbose=False)
        shards = load_shards(tmp_path / f"{count}")
        assert [r.image_id for r in split_data(shards, 0.3)[1].records] == val
        assert name_as_file(shards.records[1].path) == name_as_file(data.records[1].path)


def test_from_a_bucket(both, tmp_path, monkeypatch):
    """TensorFlow's file systems are tried by their own name for this machine's disk."""
    data, _ = both
    monkeypatch.setenv(remote_files.CACHE_VARIABLE, str(tmp_path / "cache"))
    address = f"file://{tmp_path}/to"
    shards = load_shards(address, "train")
    assert shards.name == "to_train" and len(shards) == 23
    assert {file.name.partition("-")[2] for file in (tmp_path / "cache").iterdir()} == {
        "train.index.jsonl.gz"
    }
    options = {**SMALL, "shuffle": True, "seed": 3}
    assert_same_batches(data.batches(4, **options), shards.batches(4, **options))
    # As `predict_many` reads them, too.
    numbered = enumerate(record.path for record in shards.records)
    with ThreadPoolExecutor(2) as pool:
        for (_, _, picture), record in zip(
            read_ahead(numbered, data.pixels, pool, 4), data.records, strict=True
        ):
            np.testing.assert_array_equal(picture, read_image(record.path))
    assert len(list((tmp_path / "cache").glob("*.tfrecord"))) == 5
    # A part needs no other shard.
    shutil.rmtree(tmp_path / "cache")
    part = worker_part(shards, 1, 5)
    assert len(ids(part.batches(4, **SMALL))) == 5
    assert len(list((tmp_path / "cache").glob("*.tfrecord"))) == 1


def test_a_bucket_without_shards(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(ValueError, match=r"with an index .*in file://.*Received: 1 other files"):
        load_shards(f"file://{tmp_path}")
    with pytest.raises(ValueError, match=r"Cannot list nosuch://bucket/a: .*nosuch"):
        load_shards("nosuch://bucket/a")
