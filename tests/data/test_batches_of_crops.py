"""Batches of crops: as cut by hand, the same for the same seed, and clear errors."""

import dataclasses
import logging

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from helpers import make_data, tiny_model
from PIL import Image

from keras_maskrcnn import Tiling
from keras_maskrcnn.data.crops import Crops
from keras_maskrcnn.data.loading import PictureLoader
from keras_maskrcnn.data.reading import read_image
from keras_maskrcnn.data.transforms import Transform
from keras_maskrcnn.images.pixels import PixelFormat
from keras_maskrcnn.models.training_data import as_batches

SIZES = [(150, 200), (90, 300), (60, 60)]
TILES = {"tile": 64, "overlap": 16}


@pytest.fixture
def data(tmp_path):
    return make_data(tmp_path, SIZES)


def as_files(data, kind):
    """The same pictures in files of another kind."""
    records = []
    for record in data.records:
        path = record.path.replace(".png", f".{kind}")
        pixels = read_image(record.path)
        if kind == "npy":
            np.save(path, pixels)
        elif kind == "tif":
            tifffile.imwrite(path, pixels, photometric="rgb", tile=(32, 32), compression="zlib")
        records.append(dataclasses.replace(record, path=path))
    return dataclasses.replace(data, records=records)


def content(dataset, passes=1):
    """All of some passes, to compare."""
    found = []
    for one in [dataset] * passes:
        batches = [(images.numpy(), {k: v.numpy() for k, v in t.items()}) for images, t in one]
        found.append(
            [
                (images.tobytes(), {name: value.tobytes() for name, value in targets.items()})
                for images, targets in batches
            ]
        )
    return found


@pytest.mark.parametrize("kind", ["png", "npy", "tif"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_as_cut_by_hand(data, kind, shuffle):
    data = as_files(data, kind)
    pixels = {record.image_id: read_image(record.path) for record in data.records}
    batches = data.batches(4, shuffle=shuffle, seed=5, first_pass=2, size_divisor=1, **TILES)
    crops = {
        (crop.image_id, *crop.window): crop
        for crop in Crops(data, Tiling(64, 16), 5 if shuffle else None).records(2)
    }
    assert len(batches) == 7 and len(crops) == 12 + 2 * 6 + 1
    seen = 0
    for images, targets in batches:
        assert images.dtype == tf.float32
        for row, image in enumerate(images.numpy()):
            key, (height, width) = int(targets["image_ids"][row]), targets["image_sizes"][row]
            image = image[:height, :width]
            assert (height, width) == ((60, 60) if key == 102 else (64, 64))
            np.testing.assert_array_equal(targets["original_sizes"][row], (height, width))
            (crop,) = (
                crop
                for (owner, x1, y1, x2, y2), crop in crops.items()
                if owner == key and np.array_equal(pixels[key][y1:y2, x1:x2], image)
            )
            count = len(crop.objects)
            np.testing.assert_array_equal(
                targets["classes"][row], [o.category for o in crop.objects] + [-1] * (2 - count)
            )
            boxes = np.array([o.box for o in crop.objects], "float32").reshape(-1, 4)
            np.testing.assert_array_equal(targets["boxes"][row][:count], boxes)
            for mask, instance in zip(targets["masks"][row], crop.objects, strict=False):
                np.testing.assert_array_equal(mask, instance.outline.draw(instance.box))
            seen += count
    assert seen >= 6


def test_equal_seeds_give_equal_batches(data):
    """Whatever the number of threads, and from whichever pass a run goes on."""
    options = {"shuffle": True, "augment": ["flip", "copy_paste"], "seed": 3, **TILES}
    two = content(data.batches(2, **options), 2)
    assert two[0] != two[1]
    threads = tf.data.Options()
    threads.threading.private_threadpool_size = 1
    assert content(data.batches(2, **options).with_options(threads), 2) == two
    assert content(data.batches(2, first_pass=1, **options)) == two[1:]
    assert content(data.batches(2, **{**options, "seed": 4})) != two[:1]
    # Without an order of its own, a pass is as any other.
    first, second = content(data.batches(2, **TILES), 2)
    assert first == second


def test_transforms_see_the_crops_of_their_pass(data):
    """As `copy_paste` does, which takes objects of others."""
    crops, seen = Crops(data, Tiling(64, 16), 5), []

    class Look(Transform):
        def draw(self, rng, sample):
            seen.append((sample.around.pictures[3], sample.around.read(3)))

    loader = PictureLoader(data, (Look(),), 5, 2, 0, False, True, False, crops)
    for epoch in (0, 1):
        loader(0, epoch, 0)
        record, sample = seen[epoch]
        x1, y1, x2, y2 = record.window
        assert record.window == crops.records(epoch)[3].window
        np.testing.assert_array_equal(sample.image, read_image(record.path)[y1:y2, x1:x2])
    assert seen[0][0].window != seen[1][0].window


@pytest.mark.parametrize("kind", ["png", "tif"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_cache_gives_the_same_without_the_files(data, kind, shuffle, tmp_path):
    data = as_files(data, kind)
    options = {"shuffle": shuffle, "augment": True, "seed": 2, **TILES}
    expected = content(data.batches(2, **options), 2)
    cached = data.batches(2, cache=True, **options)
    assert content(cached) == expected[:1]
    for number in range(3):
        (tmp_path / f"{number}.{kind}").unlink()
    assert content(cached) == expected[1:]


def test_all_augmentation(data):
    """What comes out stays in its own size: nothing is enlarged to an input's."""
    augment = ["scale_jitter", "rotate", "copy_paste", "color", "cutout"]
    for images, targets in data.batches(3, shuffle=True, augment=augment, seed=0, **TILES):
        assert (targets["image_sizes"].numpy() <= 64).all() and images.shape[1] == 64
        real = targets["classes"].numpy() >= 0
        boxes = targets["boxes"].numpy()[real]
        assert (boxes[:, 2:] > boxes[:, :2]).all() and boxes.max(initial=0) <= 64
    cut = data.batches(1, augment={"name": "random_crop", "size": 40}, size_divisor=1, **TILES)
    assert {images.shape[1:3] for images, _ in cut} == {(40, 40)}


def test_depth_and_scales(tmp_path, data):
    """Of 5 channels and 16 bits; in half the size, as `predict` resizes its tiles."""
    values = np.random.default_rng(0).integers(0, 4096, (150, 200, 5)).astype("uint16")
    np.save(tmp_path / "0.npy", values)
    record = dataclasses.replace(data.records[0], path=str(tmp_path / "0.npy"))
    data = dataclasses.replace(data, records=[record], pixels=PixelFormat(5, (0, 4095)))
    tiling = Tiling(64, 16, (1, 0.5))
    batches = list(data.batches(1, size_divisor=1, tile=tiling))
    crops = Crops(data, tiling).records()
    assert len(batches) == len(crops) == 12 + 4
    whole = read_image(record.path, data.pixels)
    for (images, targets), crop in zip(batches, crops, strict=True):
        x1, y1, x2, y2 = crop.window
        expected = tf.image.resize(whole[y1:y2, x1:x2], (crop.height, crop.width))
        np.testing.assert_array_equal(images[0], expected)
        assert targets["image_sizes"].numpy().tolist() == [[crop.height, crop.width]]
    assert {image.shape[1:] for image, _ in batches} == {(64, 64, 5)}
    assert crops[-1].window == (72, 22, 200, 150)


def test_whole_masks(data):
    for images, targets in data.batches(2, whole_masks=True, size_divisor=1, **TILES):
        assert targets["masks"].shape == (*images.shape[:1], 2, *images.shape[1:3])
        drawn = targets["masks"].numpy().any(axis=(2, 3))
        np.testing.assert_array_equal(drawn, targets["classes"].numpy() >= 0)


def test_a_model_takes_them_as_they_are(data, caplog):
    model = tiny_model()
    batches = data[:1].batches(2, model=model, tile=80, overlap=16, shuffle=True, seed=0)
    assert {tuple(t["image_sizes"].numpy().ravel()) for _, t in batches} == {(80,) * 4, (80,) * 2}
    with caplog.at_level(logging.WARNING, "keras_maskrcnn"):
        checked, _, _ = as_batches(model, batches, training=True)
        assert len(list(checked)) == 5
    assert not caplog.records  # Of another size than the model's `predict` gives whole pictures.


def test_what_fits_not(data, tmp_path):
    for options, expected in (
        ({"tile": 64, "min_size": 80}, "tile=64 with min_size=80"),
        ({"tile": 64, "max_size": 80}, "tile=64 with min_size=None, max_size=80"),
        ({"overlap": 8}, "overlap goes with tile"),
        ({"tile": 64, "overlap": 32}, "less than half of tile"),
        ({"tile": 64, "max_objects": 1}, "at least 2: a crop may have as many"),
        ({"tile": 64, "augment": "copy_paste", "max_objects": 3}, "augment adds up to 2"),
    ):
        with pytest.raises(ValueError, match=expected):
            data.batches(2, **options)
    with pytest.raises(TypeError, match="side of a tile"):
        data.batches(2, tile="64")
    with pytest.raises(ValueError, match="empty data set"):
        data[[]].batches(2, **TILES)


def test_pictures_without_objects(data):
    bare = dataclasses.replace(
        data, records=[dataclasses.replace(r, instances=()) for r in data.records]
    )
    for shuffle in (False, True):
        batches = list(bare.batches(2, shuffle=shuffle, **TILES))
        assert sum(len(images) for images, _ in batches) == 25
        assert all((t["classes"].numpy() == -1).all() for _, t in batches)
    some = data.batches(1, sampling={"max_empty": 0}, **TILES)
    assert len(some) < 15 and all((t["classes"].numpy() >= 0).any() for _, t in some)


def test_errors_name_the_file_and_the_crop(data, tmp_path):
    (tmp_path / "1.png").write_bytes(b"no picture")
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Image id 101: .*1\.png"):
        list(data.batches(2, **TILES))
    Image.fromarray(np.zeros((90, 299, 3), "uint8")).save(tmp_path / "1.png")
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"1\.png .*\(90, 300\).*\(90, 299\)"):
        list(data.batches(2, **TILES))

    def breaks(image, instances, rng):
        raise KeyError("x")

    expected = r"Image id 100, pixels 0, 0 to 64, 64: .*KeyError"
    with pytest.raises(tf.errors.InvalidArgumentError, match=expected):
        next(iter(data.batches(1, augment=breaks, **TILES)))
