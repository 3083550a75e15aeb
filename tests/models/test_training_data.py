"""What `fit`, `evaluate` and `predict` take, and what they say of the rest."""

import logging
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import batch, get_state, make_data, set_state, to_dataset
from PIL import Image

from keras_maskrcnn.data import pipeline
from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.evaluation import evaluate_coco
from keras_maskrcnn.models import training_data

SIZE = {"min_size": 64, "max_size": 96}

# Of TensorFlow, and no sentence to a user.
INTERNAL = re.compile(r"\{\{|\[\[|\[Op:|__wrapped__|Traceback|Graph execution|in user code")


def assert_plain(error):
    text = str(error.value)
    assert not INTERNAL.search(text) and "\n" not in text and len(text) < 400, text


class Indexed(keras.utils.PyDataset):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


# Accepted


def test_evaluate_takes_what_users_have(fresh, pictures):
    state = get_state(fresh)

    def losses(*data, **options):
        set_state(fresh, state)  # The same samples each time.
        return fresh.evaluate(*data, verbose=0, return_dict=True, **options)

    batches = [batch(2), batch(2, seed=1)]
    images = np.concatenate([images for images, _ in batches])
    targets = {k: np.concatenate([t[k] for _, t in batches]) for k in batches[0][1]}
    expected = losses(to_dataset(batches))
    assert expected["class_loss"] > 0
    for found in (
        losses(images, targets),
        losses(tf.constant(images), targets, batch_size=2),
        losses(Indexed(batches)),
        losses((item for item in batches), steps=2),
    ):
        assert found == pytest.approx(expected, rel=1e-4)
    expected = losses(pictures.batches(2, **SIZE))
    assert losses(pictures) == pytest.approx(expected, rel=1e-4)
    assert losses(pictures, batch_size=4) != pytest.approx(expected, rel=1e-4)  # Other samples.


def test_fit_takes_a_detection_data_and_validates_on_one(fresh, pictures, monkeypatch):
    state, orders, given = get_state(fresh), [], []
    make = pipeline.make_batches
    common = {**SIZE, "size_divisor": 32, "seed": 0, "masks": True}

    def noted(data, batch_size, **options):
        given.append((batch_size, {name: options[name] for name in (*common, "shuffle")}))

        def watch(images, targets):
            ids = tf.numpy_function(
                lambda ids: orders.append(ids.tolist()) or np.int64(0),
                [targets["image_ids"]],
                tf.int64,
            )
            with tf.control_dependencies([ids]):
                return tf.identity(images), targets

        return make(data, batch_size, **options).map(watch)

    monkeypatch.setattr(pipeline, "make_batches", noted)
    history = fresh.fit(pictures, epochs=2, validation_data=pictures, verbose=0).history
    monkeypatch.undo()
    assert given == [(2, {**common, "shuffle": True}), (2, {**common, "shuffle": False})]
    passes = [[*a, *b] for a, b in zip(orders[::2], orders[1::2], strict=True)]
    assert all(sorted(ids) == [100, 101, 102, 103] for ids in passes)
    assert passes[1] == passes[3] == [100, 101, 102, 103]
    # As the same batches given by hand.
    set_state(fresh, state)
    train = pictures.batches(2, **SIZE, shuffle=True, seed=0)
    val = pictures.batches(2, **SIZE)
    expected = fresh.fit(train, epochs=2, validation_data=val, verbose=0).history
    assert history.keys() == expected.keys() and "val_class_loss" in history
    for name, values in expected.items():
        assert history[name] == pytest.approx(values, rel=1e-3, abs=1e-5), name


def test_fit_takes_arrays(fresh):
    state = get_state(fresh)
    images, targets = batch(4)
    found = fresh.fit(images, targets, shuffle=False, validation_data=(images, targets), verbose=0)
    assert int(fresh.optimizer.iterations) == 2
    set_state(fresh, state)
    halves = [
        (images[rows], {k: v[rows] for k, v in targets.items()})
        for rows in (slice(0, 2), slice(2, 4))
    ]
    expected = fresh.fit(to_dataset(halves), validation_data=to_dataset(halves), verbose=0)
    for name, values in expected.history.items():
        assert found.history[name] == pytest.approx(values, rel=1e-3, abs=1e-5), name


def test_predict_takes_pillows_pictures_and_a_detection_data(trained, pictures):
    paths = [record.path for record in pictures.records]
    expected = trained.predict(paths, verbose=0)

    def assert_same(found, wanted):
        assert len(found) == len(wanted) > 0
        np.testing.assert_allclose(found.boxes, wanted.boxes, rtol=1e-4, atol=1e-3)
        np.testing.assert_array_equal(found.classes, wanted.classes)

    for found, wanted in zip(trained.predict(pictures, verbose=0), expected, strict=True):
        assert_same(found, wanted)
    opened = [Image.open(path) for path in paths]
    assert_same(trained.predict(opened[1], verbose=0)[0], expected[1])
    transparent = opened[1].copy()
    transparent.putalpha(9)
    assert_same(trained.predict([opened[0], transparent], verbose=0)[1], expected[1])
    grey = trained.predict(opened[0].convert("L"), verbose=0)[0]
    assert_same(grey, trained.predict(np.asarray(opened[0].convert("L").convert("RGB")))[0])


# Refused, in one sentence

COCO = {"images": [{"id": i} for i in range(9000)], "annotations": [], "categories": []}
PICTURE = Image.new("RGB", (96, 64), "white")
NO_DATA = [
    (COCO, r"load_coco\(file, pictures\) reads COCO annotations\. Received: x=dict with \['anno"),
    ({"images": batch()[0]}, "two parts, not one dict"),
    (PICTURE, "pictures without targets are for predict. Received: x=Image"),
    (batch()[0], r"pictures without targets are for predict\. Received: x=ndarray of shape \(2, "),
    ("instances.json", "Received: x='instances.json'"),
    ([batch()], "Received: x=list"),
    (None, "Received: x=NoneType"),
]


@pytest.mark.parametrize(("data", "message"), NO_DATA)
@pytest.mark.parametrize("call", ["fit", "evaluate"])
def test_what_is_no_data_gets_one_sentence(fresh, call, data, message):
    with pytest.raises(TypeError, match=message) as error:
        getattr(fresh, call)(data, verbose=0)
    assert_plain(error)


@pytest.mark.parametrize("call", ["fit", "evaluate", "predict"])
def test_data_sets_of_another_form_get_one_sentence(fresh, pictures, call):
    batches = pictures.batches(2, **SIZE)
    for data, message in (
        (batches.unbatch(), "rather than single pictures: DetectionData.batches"),
        (batches.map(lambda images, _: images), "must give .*Received: elements of TensorSpec"),
        (
            batches.map(lambda images, targets: (images, targets["boxes"])),
            r"elements of tuple of \(TensorSpec of shape .*, Ten",
        ),
        (batches.map(lambda images, targets: {"x": images}), r"elements of dict with \['x'\]"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            getattr(fresh, call)(data, verbose=0)
        assert_plain(error)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (COCO, r"load_coco\(file, pictures\) reads COCO annotations\. Received: a dict with"),
        (7, "list of these, or a data set. Received: int"),
        (b"\xff\xd8", "Received: bytes"),
        ([PICTURE, 7], "Received: picture 1 of type int"),
        (np.zeros((8, 8), "uint8"), r"makes a grey one RGB\. Received: picture 0 of shape \(8, 8"),
        ([PICTURE, np.asarray(PICTURE) / 255], "multiply pixels in 0..1 by 255. .*: picture 1 of"),
        (np.asarray(PICTURE).astype("int32") * 257, "convert 16 bits by pixels / 257"),
        (np.full((8, 8, 3), np.nan), "some are NaN"),
        (Image.new("I;16", (8, 8)), "8 bits per channel.*picture 0 of mode I;16"),
        (Image.new("F", (8, 8)), "8 bits per channel.*picture 0 of mode F"),
    ],
)
def test_what_is_no_picture_gets_one_sentence(trained, given, message):
    with pytest.raises((TypeError, ValueError), match=message) as error:
        trained.predict(given, verbose=0)
    assert_plain(error)


def _batch(**values):
    images, targets = batch()
    return values.pop("images", images), {**targets, **values}


WRONG = [
    (_batch(classes=batch()[1]["classes"] + 1), "counted from 0, without background"),
    (_batch(boxes=batch()[1]["boxes"][..., [2, 3, 0, 1]]), r"y \+ height\. Received: picture 0 of"),
    (_batch(boxes=batch()[1]["boxes"] / 96), "multiply fractions by the picture's width"),
    (_batch(masks=batch()[1]["masks"] // 255), "multiply them by 255"),
    (_batch(images=batch()[0] / 255), r"multiply pixels in 0\.\.1 by 255"),
    (_batch(images=batch()[0] - 120), "normalises pictures itself"),
    (_batch(images=np.where(batch()[0] > 250, np.nan, batch()[0])), "NaN or infinite"),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG)
@pytest.mark.parametrize("call", ["fit", "evaluate"])
def test_the_first_batch_is_checked(fresh, call, wrong, message):
    before = [v.numpy() for v in fresh.trainable_variables]
    with pytest.raises(ValueError, match=message) as error:
        getattr(fresh, call)(to_dataset([wrong, batch()]), verbose=0)
    assert_plain(error)
    assert error.value.__suppress_context__
    # Nothing was learnt from it.
    for old, new in zip(before, fresh.trainable_variables, strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_first_batch_is_checked_whatever_brings_it(fresh):
    wrong, message = WRONG[0]
    for data in (
        (Indexed([wrong]),),
        ((item for item in [wrong, batch()]),),
        wrong,
    ):
        with pytest.raises(ValueError, match=message) as error:
            fresh.evaluate(*data, verbose=0)
        assert_plain(error)
    good = to_dataset([batch()])
    for validation in (to_dataset([wrong]), wrong):
        with pytest.raises(ValueError, match=message) as error:
            fresh.fit(good, validation_data=validation, verbose=0)
        assert_plain(error)
    with pytest.raises(ValueError, match="validation_data of 3 parts"):
        fresh.fit(good, validation_data=(*batch(), np.ones(2)), verbose=0)


def test_predict_checks_the_first_batch_of_a_data_set(trained):
    for wrong, message in WRONG[-3:]:
        with pytest.raises(ValueError, match=message) as error:
            trained.predict(to_dataset([wrong]), verbose=0)
        assert_plain(error)
    sizes = np.array([[96, 64]] * 2, "int32")
    with pytest.raises(ValueError, match=r"picture 0 .*id 0\) with image_sizes=\(96, 64\)"):
        trained.predict(to_dataset([_batch(image_sizes=sizes)]), verbose=0)


def test_classes_of_a_detection_data_are_the_models(fresh, pictures):
    other = DetectionData(pictures.records, ["square", "bar", "disc"], [1, 2, 3])
    for call in (fresh.fit, fresh.evaluate):
        with pytest.raises(ValueError, match=r"classes, .*: 2\. Received: 3 classes \['square'"):
            call(other, verbose=0)


# Once, and without another pass


def test_checks_read_no_batch_of_their_own(fresh, monkeypatch):
    """A data set may count its passes, and its order depend on that count."""
    passes, checked = [], []

    def batches():
        passes.append(0)
        for seed in range(3):
            passes[-1] += 1
            yield batch(seed=seed)

    signature = to_dataset([batch()]).element_spec
    data = tf.data.Dataset.from_generator(batches, output_signature=signature)
    data = data.apply(tf.data.experimental.assert_cardinality(3))
    check = training_data.check_batch

    def counted(images, *others):
        checked.append(len(images))
        check(images, *others)

    monkeypatch.setattr(training_data, "check_batch", counted)
    fresh.fit(data, epochs=3, verbose=0)
    assert (passes, checked) == ([3, 3, 3], [2])
    fresh.evaluate(data, verbose=0)
    assert (passes, checked) == ([3, 3, 3, 3], [2, 2])


def test_pictures_of_another_size_are_told_once(fresh, trained, caplog):
    caplog.set_level(logging.WARNING, "keras_maskrcnn")
    large = to_dataset([batch(4, 128, 128), batch(4, 128, 128)])
    right = to_dataset([batch(4), batch(4)])
    fresh.fit(right, validation_data=right, verbose=0)
    fresh.evaluate(right, verbose=0)
    fresh.predict(right, verbose=0)
    assert caplog.messages == []
    for call, options in (
        (fresh.fit, {"epochs": 2}),
        (fresh.evaluate, {}),
        (fresh.predict, {}),
    ):
        caplog.clear()
        call(large, verbose=0, **options)
        assert len(caplog.messages) == 1
        assert "pictures of the data set are 128 x 128" in caplog.messages[0]
        assert "the shorter side 64 and the longer at most 96" in caplog.messages[0]
    # Sizes that are drawn for each picture are no mistake in training.
    caplog.clear()
    fresh.fit(to_dataset([batch(2, 128, 128), batch(4, 96, 96)]), verbose=0)
    assert caplog.messages == []


def test_a_picture_that_cannot_be_read_is_named_in_one_sentence(fresh, tmp_path):
    data = make_data(tmp_path, [(64, 96)] * 4)
    broken = Path(data.records[2].path)
    broken.write_bytes(broken.read_bytes()[:300])
    message = rf"^Image id 102: Cannot decode the picture {re.escape(str(broken))} \(300 bytes\): "
    for call in (
        lambda: fresh.fit(data.batches(2, **SIZE), verbose=0),
        lambda: fresh.evaluate(data.batches(2, **SIZE), verbose=0),
        lambda: fresh.predict(data.batches(2, **SIZE), verbose=0),
        lambda: evaluate_coco(fresh, data, progress=False),
    ):
        with pytest.raises(ValueError, match=message) as error:
            call()
        assert_plain(error)
        assert error.value.__suppress_context__


# Files


@pytest.mark.parametrize("name", ["m.h5", "m.H5", "m.hdf5"])
def test_files_that_could_not_be_loaded_again_are_not_written(fresh, tmp_path, name):
    with pytest.raises(ValueError, match=rf"saved as a \.keras file.*Received: .*{name}'$"):
        fresh.save(tmp_path / name)
    assert not list(tmp_path.iterdir())
