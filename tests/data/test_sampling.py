"""How often pictures come in a pass: weights by hand, draws, batches, the log."""

import json

import numpy as np
import pytest
from helpers import make_data

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.passes import count_repeats, describe_pass, draw_pictures, pass_length
from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.data.sampling import SAMPLINGS, ClassBalanced, Every, RepeatFactor


def data_with(*pictures, classes=("a", "b", "c")):
    """Pictures with objects of the classes given for each."""
    records = [
        ImageRecord(
            n, f"{n}.png", 8, 8, tuple(Instance(k, (0, 0, 4, 4), None, False, 16.0, 1) for k in has)
        )
        for n, has in enumerate(pictures)
    ]
    return DetectionData(records, list(classes), list(range(len(classes))))


def test_names():
    made = SAMPLINGS.make({"name": "repeat_factor", "threshold": 0.1, "max_empty": 3}, default="")
    described = json.loads(json.dumps(made.get_config()))
    assert described == {
        "name": "repeat_factor", "threshold": 0.1, "empty_share": None, "max_empty": 3
    }  # fmt: skip
    assert SAMPLINGS.make(described, default="").get_config() == described


def test_each_once():
    data = data_with([0], [], [1, 1])
    np.testing.assert_array_equal(Every().weights(data), [1, 1, 1])
    for epoch in range(5):
        np.testing.assert_array_equal(draw_pictures(np.ones(7), 3, epoch), np.arange(7))


def test_repeat_factors():
    # Class a is on 8 of 10 pictures, b on 2, c on 1 (with b); the threshold is .8.
    data = data_with(*[[0]] * 8, [1, 1], [1, 2])
    weights = RepeatFactor(threshold=0.8).weights(data)
    np.testing.assert_allclose(weights, [1] * 8 + [2, np.sqrt(8)])
    np.testing.assert_array_equal(RepeatFactor().weights(data), np.ones(10))


def test_classes_balanced():
    data = data_with([0], [0], [0], [0, 1], [])
    weights = ClassBalanced().weights(data)
    # Of 4 pictures with objects: each class is drawn twice, a from 4 pictures, b from 1.
    np.testing.assert_allclose(weights, [0.5, 0.5, 0.5, 2.5, 1.0])


def test_pictures_without_objects():
    data = data_with([0], [1], [0], [], [], [], [], [])
    np.testing.assert_allclose(Every(max_empty=2).weights(data), [1] * 3 + [0.4] * 5)
    np.testing.assert_allclose(Every(max_empty=9).weights(data), np.ones(8))
    np.testing.assert_allclose(Every(empty_share=0).weights(data), [1] * 3 + [0] * 5)
    np.testing.assert_allclose(Every(empty_share=0.25).weights(data), [1] * 3 + [0.2] * 5)
    np.testing.assert_allclose(Every(empty_share=0.7).weights(data), [1] * 3 + [1.4] * 5)
    with pytest.raises(ValueError, match=r"expected pictures with objects.*max_empty=0"):
        Every(max_empty=0).weights(data_with([], []))
    for wrong, words in (
        ({"empty_share": 1}, "below 1"),
        ({"empty_share": -0.1}, r"in 0\.\.1"),
        ({"max_empty": -1}, "at least 0"),
    ):
        with pytest.raises(ValueError, match=words):
            Every(**wrong)
    with pytest.raises(ValueError, match="threshold must be above 0"):
        RepeatFactor(threshold=0)


def test_draws_are_as_many_as_the_weights_say():
    weights = np.array([1.0, 2.3, 0.4, 0.0, 1.0, 5.8])
    counts = np.array(
        [np.bincount(draw_pictures(weights, 0, epoch), minlength=6) for epoch in range(2000)]
    )
    assert pass_length(weights) == 10 and (counts.sum(axis=1) == 10).all()
    expected = weights * 10 / weights.sum()
    assert (counts >= np.floor(expected)).all() and (counts <= np.ceil(expected)).all()
    np.testing.assert_allclose(counts.mean(axis=0), expected, atol=0.04)
    np.testing.assert_array_equal(draw_pictures(weights, 5, 3), draw_pictures(weights, 5, 3))
    np.testing.assert_array_equal(count_repeats(np.array([0, 1, 1, 1, 4, 4])), [0, 0, 1, 2, 0, 1])


def test_a_pass_is_described():
    data = data_with([0, 0], [1], [])
    said = describe_pass(data, np.array([0, 0, 2]))
    assert said == "3 pictures, 1 without objects; objects: a 4, b 0, c 0"


def test_batches(tmp_path):
    data = make_data(tmp_path, [(40, 60), (60, 40), (50, 50)])
    few = [i for i in data.records[0].instances if i.category == 0]
    records = [
        ImageRecord(r.image_id, r.path, r.height, r.width, tuple(few) if n else r.instances)
        for n, r in enumerate(data.records)
    ]
    data = DetectionData(records, data.class_names, data.category_ids)
    options = {"min_size": 32, "max_size": 48, "seed": 1, "augment": "flip", "shuffle": True}
    sampling = {"name": "class_balanced"}

    def ids(batches):
        return [int(t["image_ids"][0]) for _, t in batches]

    # Weights: 1/6 + 1/2 of 3, and twice 1/6 of 3.
    batches = data.batches(1, sampling=sampling, **options)
    assert len(batches) == 3
    first, second = ids(batches), ids(batches)
    assert first.count(100) == 2 and second.count(100) == 2
    late = data.batches(1, sampling=sampling, first_pass=1, **options)
    assert ids(late) == second  # a run that goes on meets what it would have met


def test_repeats_of_a_picture_differ(tmp_path):
    data = make_data(tmp_path, [(40, 60)] * 2)
    records = [data.records[0], ImageRecord(9, data.records[1].path, 40, 60, ())]
    data = DetectionData(records, data.class_names, data.category_ids)
    batches = data.batches(
        1, min_size=32, max_size=48, seed=0, augment="standard", sampling={"empty_share": 0.9}
    )
    images = [images.numpy() for images, _ in batches]
    assert len(images) == 10
    assert len({image.tobytes() for image in images[1:]}) == 9
