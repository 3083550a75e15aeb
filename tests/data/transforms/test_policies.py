"""Augmentations by name: each is made, describes itself, and does what its name says."""

import json

import numpy as np
import pytest
import tensorflow as tf
from helpers import make_data

from keras_maskrcnn.data.records import Instance
from keras_maskrcnn.data.transforms import (
    POLICIES,
    Sample,
    Surroundings,
    make_transforms,
    transform_sample,
)
from keras_maskrcnn.outlines import Polygons


def make_sample(channels=3):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (48, 64, channels), dtype=np.uint8)
    corners = [20.0, 10.0, 30.0, 10.0, 30.0, 26.0, 20.0, 26.0]
    instance = Instance(0, (20, 10, 30, 26), Polygons([corners]), False, None, 1)
    pictures = [Sample(image[::-1], (instance,))]
    around = Surroundings(lambda h, w: (2 * h, 2 * w), pictures, pictures.__getitem__)
    return Sample(image, (instance,), (), around)


def names(augment):
    return [type(transform).__name__ for transform in make_transforms(augment)]


def test_names():
    assert make_transforms("none") == ()
    assert names("lsj") == ["Flip", "ScaleJitter"]
    assert make_transforms("lsj")[1].scale == (0.1, 2.0)
    assert names("microscopy")[:3] == ["Flip", "VerticalFlip", "QuarterTurn"]
    # A policy in a list stands for what it holds.
    assert names(["standard", "blur"]) == ["Flip", "ScaleJitter", "Blur"]
    with pytest.raises(ValueError, match=r"Did you mean 'lsj'.*Received: augment='lsjj'"):
        make_transforms("lsjj")


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_each_suits_pictures_of_any_depth(name, channels):
    transforms = make_transforms(name)
    described = json.loads(json.dumps([t.get_config() for t in transforms]))
    assert [t.get_config() for t in make_transforms(described)] == described
    given = make_sample(channels)
    for seed in range(5):
        found, _, _ = transform_sample(given, transforms, np.random.default_rng(seed))
        again, _, _ = transform_sample(
            given, make_transforms(described), np.random.default_rng(seed)
        )
        np.testing.assert_array_equal(found.image, again.image)
        assert found.image.shape[2] == channels and found.image.dtype == np.uint8
        height, width = found.size
        for instance in found.instances:
            x1, y1, x2, y2 = instance.box
            assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height


@pytest.mark.parametrize("name", sorted(set(POLICIES) - {"none", "flip"}))
def test_pictures_are_resized_once(name):
    """What comes out has the size of the network's input: nothing is left to resize."""
    found, _, _ = transform_sample(make_sample(), make_transforms(name), np.random.default_rng(2))
    assert sorted(found.size) == [96, 128]


@pytest.mark.parametrize("name", ["small_data", "aerial"])
def test_as_many_threads_as_there_are_make_the_same_batches(tmp_path, name):
    data = make_data(tmp_path, [(60, 80), (80, 60), (64, 64), (50, 90), (70, 70), (90, 50)])
    found = []
    for threads in (1, 4):
        options = tf.data.Options()
        options.threading.private_threadpool_size = threads
        batches = data.batches(
            2, min_size=64, max_size=96, shuffle=True, augment=name, seed=5, first_pass=2
        )
        found.append(list(batches.with_options(options)))
    for (images, targets), (again, same) in zip(*found, strict=True):
        np.testing.assert_array_equal(images, again)
        for key, values in targets.items():
            np.testing.assert_array_equal(values, same[key], err_msg=key)
