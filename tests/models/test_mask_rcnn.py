"""The model as a user holds it: losses, predictions, files, errors."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import (
    LOSSES,
    MASK,
    batch,
    get_state,
    iou,
    keypoint_head,
    run_python,
    set_state,
    tiny_model,
    to_dataset,
    training_outputs,
)
from PIL import Image

from keras_maskrcnn import MaskRCNN


def train_inputs(images, targets):
    """What `call` takes to walk the training graph."""
    return {"images": images, **targets}


def loss_and_gradients(model, images, targets):
    # What `fit` saw last is still in the means.
    for mean in model._loss_means:
        mean.reset_state()
    with tf.GradientTape() as tape:
        outputs = model(train_inputs(images, targets), training=True)
        loss = model.compute_loss(None, targets, outputs, None, True)
    variables = model.trainable_variables
    gradients = tape.gradient(loss, [v.value for v in variables])
    parts = {mean.name: float(mean.result()) for mean in model._loss_means}
    return float(loss), parts, dict(zip([v.path for v in variables], gradients, strict=True))


# Losses


def test_first_losses_are_what_theory_says(fresh):
    """ln(K + 1), ln 2, ln 2: heads that start small call every class equally likely.

    That needs features of ordinary size. Batch norm keeps them so in training, as ImageNet weights
    do; the frozen norms of a random ResNet do not, since each residual block doubles the variance.
    """
    history = fresh.fit(to_dataset([batch()]), verbose=0).history
    assert history["class_loss"][0] == pytest.approx(np.log(3), abs=0.1)
    assert history["rpn_class_loss"][0] == pytest.approx(np.log(2), abs=0.02)
    assert history["mask_loss"][0] == pytest.approx(np.log(2), abs=0.02)
    assert history["rpn_box_loss"][0] < 0.1


def test_losses_of_heads_that_say_nothing_are_exact(fresh):
    network = fresh.network
    for layer in (
        network.rpn.head.objectness,
        network.box.head.class_logits,
        network.heads[0].head.mask_logits,
    ):
        layer.kernel.assign(keras.ops.zeros_like(layer.kernel))
    # Two batches of unlike size: the mean is over pictures, whatever the batch.
    losses = fresh.evaluate(to_dataset([batch(1), batch(3)]), verbose=0, return_dict=True)
    assert losses["class_loss"] == pytest.approx(np.log(3), rel=1e-5)
    assert losses["rpn_class_loss"] == pytest.approx(np.log(2), rel=1e-5)
    assert losses["mask_loss"] == pytest.approx(np.log(2), rel=1e-5)


def _smooth_l1(x, beta=1 / 9):
    x = np.abs(x)
    return np.where(x < beta, 0.5 * x**2 / beta, x - 0.5 * beta)


def test_losses_by_hand(fresh):
    images, targets = batch(3)
    state = get_state(fresh)
    outputs = training_outputs(fresh, images, targets)
    rpn, box, mask = (
        {k: v.numpy().astype("float64") for k, v in outputs[part].items()}
        for part in ("rpn", "box", "mask")
    )
    expected = {}
    labels = rpn["labels"]
    probability = 1 / (1 + np.exp(-rpn["logits"]))
    assert np.sum(labels >= 0) == 3 * 32
    surprise = -np.log(np.where(labels == 1, probability, 1 - probability))
    expected["rpn_class_loss"] = surprise[labels >= 0].mean()
    errors = _smooth_l1(rpn["deltas"] - rpn["target_deltas"])
    expected["rpn_box_loss"] = errors[labels == 1].sum() / (3 * 32)

    classes = box["classes"].astype(int)
    used = classes >= 0
    odds = np.exp(box["class_logits"])
    probability = odds / odds.sum(-1, keepdims=True)
    rows = np.nonzero(used)
    expected["class_loss"] = -np.log(probability[(*rows, classes[rows])]).mean()
    positive = np.nonzero(used & (classes < 2))
    errors = box["deltas"][(*positive, classes[positive])] - box["target_deltas"][positive]
    expected["box_loss"] = _smooth_l1(errors).sum() / used.sum()
    assert len(positive[0]) > 0 and expected["box_loss"] > 0

    probability = 1 / (1 + np.exp(-mask["predictions"]))
    aim = mask["targets"]
    assert aim.shape == (len(positive[0]), 28, 28) and 0 < aim.mean() < 1
    expected["mask_loss"] = -np.mean(
        aim * np.log(probability) + (1 - aim) * np.log(1 - probability)
    )
    kernels = [v.numpy() for v in fresh.trainable_variables if v.path.endswith("kernel")]
    expected["regularization_loss"] = 0.5 * 1e-4 * sum(np.sum(k**2.0) for k in kernels)
    assert set(expected) == set(LOSSES)

    set_state(fresh, state)  # The same samples again, in the compiled step.
    logs = fresh.fit(to_dataset([(images, targets)]), verbose=0).history
    for name, value in expected.items():
        assert logs[name][0] == pytest.approx(value, rel=1e-3, abs=1e-6), name
    assert logs["loss"][0] == pytest.approx(sum(expected.values()), rel=1e-3)


def test_every_trained_variable_gets_a_gradient(fresh):
    _, _, gradients = loss_and_gradients(fresh, *batch())
    idle = [path for path, g in gradients.items() if g is None or not np.any(g)]
    assert idle == []
    assert len(gradients) == len(fresh.trainable_variables) > 60


def test_crowds_and_padding_only(fresh):
    """Pictures without objects teach the class losses alone."""
    loss, parts, gradients = loss_and_gradients(fresh, *batch(objects=False))
    assert np.isfinite(loss)
    assert parts["box_loss"] == parts["mask_loss"] == parts["rpn_box_loss"] == 0.0
    assert parts["class_loss"] > 0 and parts["rpn_class_loss"] > 0
    assert all(g is None or np.all(np.isfinite(g)) for g in gradients.values())
    reached = {path for path, g in gradients.items() if g is not None and np.any(g)}
    assert any("class_logits" in path for path in reached)
    # And through the compiled step, where the mask head meets no RoI at all.
    history = fresh.fit(to_dataset([batch(objects=False), batch()]), verbose=0).history
    assert all(np.isfinite(values[0]) for values in history.values())
    assert all(np.all(np.isfinite(v)) for v in fresh.trainable_variables)


def test_no_detections(fresh):
    """A picture on which nothing is found, in eager and in graph mode."""
    fresh.network.box.head.class_logits.bias.assign([-20.0, -20.0, 20.0])
    images, _ = batch(2)
    for found in (fresh(images), fresh.predict_on_batch(images)):
        np.testing.assert_array_equal(found["counts"], [0, 0])
        np.testing.assert_array_equal(found["classes"], np.full((2, 10), -1))
        assert tuple(found["masks"].shape) == (2, 10, 28, 28) and not np.any(found["masks"])
    detections = fresh.predict([images[0], images[1]], batch_size=2, verbose=0)
    assert [len(d) for d in detections] == [0, 0] and detections[0].masks.shape == (0, 64, 96)


# Sizes and padding


def test_any_size_without_tracing_anew(fresh, monkeypatch):
    calls = []
    for name in ("call", "compute_loss"):
        original = getattr(MaskRCNN, name)

        def counted(self, *args, _name=name, _original=original, **kwargs):
            calls.append(_name)
            return _original(self, *args, **kwargs)

        monkeypatch.setattr(MaskRCNN, name, counted)
    sizes = [(1, 64, 64), (3, 96, 64), (2, 64, 128), (1, 128, 96), (4, 64, 64), (1, 64, 64)]
    history = fresh.fit(to_dataset([batch(*size) for size in sizes]), verbose=0).history
    assert np.isfinite(history["loss"][0])
    assert calls == []  # The step that was traced in another test serves.
    results = [fresh.predict_on_batch(batch(*size)[0]) for size in sizes]
    for (count, *_), found in zip(sizes, results, strict=True):
        assert found["boxes"].shape == (count, 10, 4) and found["masks"].shape[1:] == (10, 28, 28)
    assert len(calls) <= 2  # One size, then any.
    for name in results[0]:
        np.testing.assert_allclose(results[0][name], results[-1][name], rtol=1e-3, atol=1e-4)


def _inputs(pictures, dataset_options):
    images, targets = next(iter(pictures.batches(4, **dataset_options)))
    return images.numpy(), targets["image_sizes"].numpy()


SIZE = {"min_size": 64, "max_size": 96}


def test_padding_has_no_influence(trained, pictures):
    images, sizes = _inputs(pictures, SIZE)
    assert sizes[2].tolist() == [64, 64] and images.shape[1:3] == (96, 96)
    together = trained.predict_on_batch({"images": images, "image_sizes": sizes})
    assert together["counts"].min() >= 1
    # What the padding holds: exactly none.
    rubbish = np.random.default_rng(0).uniform(0, 255, images.shape).astype("float32")
    for image, other, (h, w) in zip(images, rubbish, sizes, strict=True):
        other[:h, :w] = image[:h, :w]
    dirty = trained.predict_on_batch({"images": rubbish, "image_sizes": sizes})
    for name, value in together.items():
        np.testing.assert_array_equal(dirty[name], value)
    # What else is in the batch: none but rounding.
    for row in range(4):
        one = slice(row, row + 1)
        alone = trained.predict_on_batch({"images": images[one], "image_sizes": sizes[one]})
        for name, value in alone.items():
            np.testing.assert_allclose(together[name][row], value[0], rtol=1e-3, atol=2e-3)
    # How much padding there is reaches the picture's border through the network's receptive field,
    # as in every implementation: the same objects, not the same digits.
    # Classes that score alike may change places: look for each one's best anywhere in the other.
    tight = trained.predict_on_batch(images[2:3, :64, :64])
    padded = {name: value[2:3] for name, value in together.items()}
    for one, other in ((tight, padded), (padded, tight)):
        assert one["scores"][0, 0] > 0.5
        same_class = other["classes"][0] == one["classes"][0, 0]
        overlaps = [iou(one["boxes"][0, 0], box) for box in other["boxes"][0][same_class]]
        assert max(overlaps, default=0) > 0.5
    for found in (tight["boxes"][0], together["boxes"][2]):
        assert found.min() >= 0 and found.max() <= 64  # Never in the padding.


# Predictions


def _assert_same(a, b, scale=1.0, **tolerance):
    tolerance = {"rtol": 1e-3, "atol": 2e-3, **tolerance}
    assert len(a) == len(b) > 0
    np.testing.assert_allclose(a.boxes, b.boxes * scale, **tolerance)
    np.testing.assert_allclose(a.scores, b.scores, **tolerance)
    np.testing.assert_array_equal(a.classes, b.classes)
    np.testing.assert_allclose(a.mask_probabilities, b.mask_probabilities, **tolerance)


def test_predict_takes_what_users_have(trained, pictures, capsys):
    records = pictures.records
    paths = [record.path for record in records]
    arrays = [np.asarray(Image.open(path)) for path in paths]
    expected = trained.predict(paths, verbose=0)
    assert len(expected) == 4
    assert [d.image_size for d in expected] == [(r.height, r.width) for r in records]
    one = trained.predict(paths[1], verbose=0)
    assert isinstance(one, list) and len(one) == 1
    _assert_same(one[0], expected[1])
    _assert_same(trained.predict(Path(paths[1]), verbose=0)[0], expected[1])
    _assert_same(trained.predict(arrays[1], verbose=0)[0], expected[1])
    _assert_same(trained.predict(tf.constant(arrays[1]), verbose=0)[0], expected[1])
    mixed = trained.predict([arrays[0], paths[1], arrays[2].astype("float32")], verbose=0)
    for found, wanted in zip(mixed, expected, strict=False):
        _assert_same(found, wanted)
    stack = trained.predict(np.stack(arrays[:2]), verbose=0)
    for found, wanted in zip(stack, expected, strict=False):
        _assert_same(found, wanted)
    raw = trained.predict_on_batch(
        {"images": arrays[0][None], "image_sizes": np.array([[64, 96]], "int32")}
    )
    plain = trained.predict_on_batch(arrays[0][None])
    for name, value in raw.items():
        np.testing.assert_allclose(plain[name], value, rtol=1e-4, atol=1e-4)
    count = raw["counts"][0]
    np.testing.assert_allclose(raw["boxes"][0, :count], expected[0].boxes, rtol=1e-3, atol=2e-3)
    assert capsys.readouterr().out == ""
    trained.predict(paths[:1], verbose=1)
    assert "1/1" in capsys.readouterr().out


def test_predict_on_a_data_set_and_in_batches(trained, pictures):
    listed = trained.predict([r.path for r in pictures.records], batch_size=2, verbose=0)
    from_data = trained.predict(pictures.batches(2, **SIZE), verbose=0)
    assert len(from_data) == 4
    for a, b in zip(from_data, listed, strict=True):
        _assert_same(a, b)
        assert a.image_size == b.image_size and a.class_names == b.class_names


def test_predictions_find_the_objects_in_the_pictures_own_pixels(trained, pictures, tmp_path):
    record = pictures.records[0]
    picture = np.asarray(Image.open(record.path))
    found = trained.predict(picture, verbose=0)[0]
    for instance in record.objects:
        d = int(np.argmax(found.classes == instance.category))
        assert found.scores[d] > 0.5
        assert iou(found.boxes[d], instance.box) > 0.5
    # Every pixel twice as wide and high: the network sees the same picture.
    large = picture.repeat(2, axis=0).repeat(2, axis=1)
    Image.fromarray(large).save(tmp_path / "large.png")
    for given in (large, tmp_path / "large.png"):
        again = trained.predict(given, verbose=0)[0]
        assert again.image_size == (128, 192) and again.masks.shape[1:] == (128, 192)
        _assert_same(again, found, scale=2.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((8, 8), "uint8"), r"shape \(8, 8\)"),
        ([np.zeros((8, 8, 3), "uint8"), np.zeros((8, 8, 4), "uint8")], r"picture 1 .*\(8, 8, 4\)"),
        ("nowhere.jpg", "nowhere.jpg"),
        ({"images": np.zeros((1, 8, 8, 3))}, "predict_on_batch"),
    ],
)
def test_predict_says_what_is_no_picture(trained, given, message):
    with pytest.raises((ValueError, TypeError), match=message):
        trained.predict(given, verbose=0)


# Configuration and files

ODD = {
    "num_classes": 3,
    "class_names": ["a", "b", "c"],
    "backbone": {"norm": "frozen_statistics", "norm_epsilon": 1e-3, "preprocessing": "caffe"},
    "neck": {"norm": "batch", "norm_epsilon": 1e-3},
    "rpn": {
        "anchor_sizes": [[8, 12], [16, 24], [32, 40], [48, 56], [64, 72]],
        "anchor_ratios": [1.0, 2.0],
        "anchor_offset": 0.5,
        "convs": 2,
    },
    "box": {"convs": 1, "fcs": 1, "norm": "batch", "score_threshold": 0.2},
    "heads": ({**MASK, "norm": "batch", "pool_size": 7}, keypoint_head(4)),
    "pooler": {"name": "roi_align", "sampling_ratio": 1},
    "weight_decay": 0.0,
    "seed": 5,
}


def test_config_round_trip():
    model = tiny_model(**ODD, name="odd", dtype="mixed_bfloat16")
    assert keras.config.dtype_policy().name == "float32"
    config = json.loads(json.dumps(model.get_config()))
    again = MaskRCNN.from_config(config)
    assert again.name == "odd" and again.get_config() == model.get_config()
    for part, settings in ODD.items():
        if isinstance(settings, dict) and part in again.network.parts:
            kept = json.loads(json.dumps(again.network.parts[part].settings))
            assert {name: kept[name] for name in settings} == settings
    assert again.class_names == ("a", "b", "c")
    assert [(v.path, v.shape) for v in again.weights] == [(v.path, v.shape) for v in model.weights]
    assert again.network.heads[0].head.compute_dtype == "bfloat16"
    assert again.network.rpn.proposals.compute_dtype == "float32"


@pytest.mark.slow  # One more trace.
def test_first_losses_of_keypoints():
    model = tiny_model(**ODD, dtype="mixed_bfloat16")
    loss, parts, gradients = loss_and_gradients(model, *batch(keypoints=4))
    assert parts["keypoint_loss"] == pytest.approx(np.log(56**2), rel=0.01)  # Any cell alike.
    assert parts["regularization_loss"] == 0 and np.isfinite(loss)
    assert [path for path, g in gradients.items() if g is None] == []
    _, parts, _ = loss_and_gradients(model, *batch(objects=False, keypoints=4))
    assert parts["keypoint_loss"] == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rpn": {"sampels": 3}}, "no setting 'sampels'.* mean 'samples'"),
        ({"backbone": "resnet51"}, "Did you mean 'resnet5"),
        ({"box": {"iou": 1.5}}, "iou must be in 0..1. Received: iou=1.5"),
        ({"heads": ["mask", "mask"]}, "names of their own"),
        ({"class_names": ["a"]}, "num_classes=2 names. Received: 1 names"),
        ({"num_classes": 0}, "num_classes must be at least 1"),
    ],
)
def test_mistaken_settings_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        MaskRCNN(**{"num_classes": 2, **arguments})


LATER = """
import sys, json
import numpy as np
import keras
from helpers import batch, to_dataset
model = keras.saving.load_model(sys.argv[1])
found = model.predict_on_batch(np.load(sys.argv[3]))
history = model.fit(to_dataset([batch(2), batch(1)]), epochs=2, verbose=0).history
np.savez(sys.argv[2], **found, **{"fit_" + k: v for k, v in history.items()})
"""


@pytest.mark.slow  # A process that traces anew.
def test_saved_model_goes_on_in_a_fresh_process(trained, pictures, tmp_path):
    path = tmp_path / "model.keras"
    trained.save(path)
    images, _ = _inputs(pictures, SIZE)
    np.save(tmp_path / "images.npy", images[:2, :64])  # Both fill the frame.
    run_python(LATER, path, tmp_path / "later.npz", tmp_path / "images.npy")
    with np.load(tmp_path / "later.npz") as file:
        later = dict(file)
    found = trained.predict_on_batch(images[:2, :64])
    assert found["counts"].min() >= 2
    for name, value in found.items():
        np.testing.assert_allclose(later[name], value, rtol=1e-4, atol=1e-4, err_msg=name)
    # Optimizer and samplers go on where they were: a reset Adam would step differently.
    history = trained.fit(to_dataset([batch(2), batch(1)]), epochs=2, verbose=0).history
    for name, value in history.items():
        np.testing.assert_allclose(later["fit_" + name], value, rtol=1e-3, atol=1e-5, err_msg=name)


def test_weights_of_another_class_count_are_refused(fresh, tmp_path):
    path = tmp_path / "two.weights.h5"
    fresh.save_weights(path)
    three = tiny_model(num_classes=3)
    with pytest.raises(ValueError, match=r"(?s)num_classes=3.*two\.weights\.h5.*shape"):
        three.load_weights(path)
    # The same classes load, whatever was there before.
    again = tiny_model(weights_seed=1)
    again.load_weights(path)
    for a, b in zip(again.get_weights(), fresh.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    # Said loudly: which layers stay random.
    logits = three.network.box.head.class_logits.get_weights()
    with pytest.warns(UserWarning, match="class_logits"):
        three.load_weights(path, skip_mismatch=True)
    np.testing.assert_array_equal(three.network.box.head.class_logits.get_weights()[0], logits[0])
    for a, b in zip(
        three.network.backbone.get_weights(), fresh.network.backbone.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(a, b)


# Errors


def test_compile_refuses_losses(fresh):
    with pytest.raises(ValueError, match="loss='mse'"):
        fresh.compile("sgd", loss="mse")


def test_missing_targets_are_named(fresh):
    images, targets = batch()
    del targets["crowd_boxes"]
    with pytest.raises(ValueError, match=r"crowd_boxes.*Received.*'boxes', 'classes'"):
        fresh.fit(to_dataset([(images, targets)]), verbose=0)
    images, targets = batch()
    del targets["masks"]
    with pytest.raises(ValueError, match=r"'masks'.*Received"):
        fresh.fit(to_dataset([(images, targets)]), verbose=0)
    with pytest.raises(ValueError, match=r"\(images, targets\)"):
        fresh.train_on_batch(images)
    with pytest.raises(ValueError, match="three parts"):
        fresh.train_on_batch(images, batch()[1], np.ones(2))


@pytest.mark.slow  # One more trace.
def test_mixed_bfloat16_is_near_float32(trained):
    model = tiny_model(dtype="mixed_bfloat16")
    model.compile(keras.optimizers.Adam(1e-3), run_eagerly=True)
    model.set_weights(trained.get_weights())
    images, targets = batch()
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    wanted = {k: v for k, v in train_inputs(images, targets).items()}
    outputs = [m(wanted, training=True) for m in (model, trained)]
    values = tf.nest.flatten(outputs[0])
    assert {keras.backend.standardize_dtype(v.dtype) for v in values} <= {"float32", "int32"}
    for name in ("logits", "deltas"):
        mixed, exact = (np.asarray(o["rpn"][name]) for o in outputs)
        assert not np.array_equal(mixed, exact)
        assert np.abs(mixed - exact).mean() < 0.05 * exact.std(), name
    # Ground truth joins the proposals, so the two see the same objects.
    found = model.predict_on_batch(images)
    assert all(np.all(np.isfinite(v)) for v in found.values())
    assert found["boxes"].dtype == found["masks"].dtype == np.float32
    (_, mixed, _), (_, exact, _) = (
        loss_and_gradients(m, images, targets) for m in (model, trained)
    )
    # What the RPN's losses average are samples, nearly all of them negatives of these pictures.
    assert mixed["rpn_class_loss"] == pytest.approx(exact["rpn_class_loss"], rel=0.05)
    assert mixed["regularization_loss"] == pytest.approx(exact["regularization_loss"], rel=0.01)
    history = model.fit(to_dataset([(images, targets)] * 2), verbose=0).history
    assert all(np.isfinite(v[0]) for v in history.values())
