"""Test-time augmentation: merged boxes by hand, mean masks, mirror images, and what is refused."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from exported_model import distinct_model, make_picture
from helpers import MASK, keypoint_head
from keras import ops

from keras_maskrcnn.heads.base import HEADS, RoIHead
from keras_maskrcnn.images.input_size import InputSize
from keras_maskrcnn.inference import augmented

PICTURE = make_picture(150, 210, 3)
Augmentation = augmented.TestTimeAugmentation


@HEADS.register("place")
class Place(RoIHead):
    """Where a box stands in the input: as floats, and as whole pixels."""

    def forward(self, features, classes):
        return features

    def decode(self, predictions, boxes):
        return {"left": boxes[:, 0], "whole_left": ops.cast(boxes[:, 0], "int32")}


@pytest.fixture(scope="module")
def model():
    # With the shift of heads that know COCO's numbers as they are.
    return distinct_model(heads=(MASK, keypoint_head(2, shift=0.5), {"name": "place"}))


def predict(model, picture, *sizes, flip=False):
    augmentation = Augmentation(min_sizes=sizes, max_size=200, flip=flip)
    return model.predict(picture, verbose=0, augment=augmentation)[0]


def with_size(model, min_size, monkeypatch):
    monkeypatch.setattr(model, "input_size", InputSize(min_size, 200, 32))


def test_default_sizes_are_detectron2s_for_a_model_of_800():
    inputs = Augmentation().inputs(InputSize(800, 1333, 32))
    assert [i.size.min_size for i in inputs[::2]] == list(range(400, 1201, 100))
    assert {i.size.max_size for i in inputs} == {4000}
    assert [i.is_mirrored for i in inputs] == [False, True] * 9
    small = Augmentation(flip=False).inputs(InputSize(64, 96, 16))
    assert [i.size.min_size for i in small] == [32, 40, 48, 56, 64, 72, 80, 88, 96]
    assert small[0].size == InputSize(32, 320, 16)
    given = Augmentation([50, 70], max_size=90, flip=True).inputs(InputSize(64, 96, 16))
    assert [(i.size.min_size, i.is_mirrored) for i in given] == [
        (50, False),
        (50, True),
        (70, False),
        (70, True),
    ]


def test_merging_by_hand():
    boxes = np.array(
        [
            [10, 10, 30, 30],  # stays
            [12, 10, 32, 30],  # IoU 18/22 with a better one of its class
            [12, 10, 32, 30],  # of another class
            [-5, 50, 25, 90],  # clipped, and then better than the next
            [0, 50, 25, 80],
            [60, 60, 80, 80],  # no score
        ]
    )
    scores = np.array([0.8, 0.7, 0.6, 0.5, 0.9, 1e-9], "float32")
    classes = np.array([0, 0, 1, 0, 1, 0], "int32")
    box = SimpleNamespace(nms="per_class", nms_iou=0.5, max_detections=9)
    merged = augmented.merge(box, boxes, scores, classes, (80, 100))
    expected = [[0, 50, 25, 80], [10, 10, 30, 30], [12, 10, 32, 30], [0, 50, 25, 80]]
    assert merged[0].tolist() == expected
    assert merged[1].tolist() == scores[[4, 0, 2, 3]].tolist()
    assert merged[2].tolist() == [1, 0, 1, 0]
    box.nms = "cross_class"
    assert augmented.merge(box, boxes, scores, classes, (80, 100))[2].tolist() == [1, 0]
    box.nms, box.max_detections = "soft_linear", 3
    assert augmented.merge(box, boxes, scores, classes, (80, 100))[2].tolist() == [1, 0, 1]
    nothing = augmented.merge(box, boxes[:0], scores[:0], classes[:0], (80, 100))
    assert [len(values) for values in nothing] == [0, 0, 0]


def test_one_input_of_the_models_own_size_is_predict(model):
    (plain,) = model.predict(PICTURE, verbose=0)
    augmentation = Augmentation(min_sizes=(64,), max_size=96, flip=False)
    (found,) = model.predict(PICTURE, verbose=0, augment=augmentation)
    assert len(plain) == len(found) > 3
    np.testing.assert_allclose(found.boxes, plain.boxes, atol=1e-3)
    np.testing.assert_allclose(found.scores, plain.scores, atol=1e-6)
    np.testing.assert_array_equal(found.classes, plain.classes)
    np.testing.assert_allclose(found.mask_probabilities, plain.mask_probabilities, atol=1e-4)
    np.testing.assert_allclose(found.keypoints, plain.keypoints, atol=0.05)
    np.testing.assert_allclose(found.extras["left"], plain.extras["left"], atol=1e-3)


def test_mirrored_pictures_get_mirrored_answers(model):
    one, other = (predict(model, p, 64, 80, flip=True) for p in (PICTURE, PICTURE[:, ::-1]))
    assert len(one) == len(other) > 3
    mirrored = [210, 0, 210, 0] - other.boxes[:, [2, 1, 0, 3]] * [1, -1, 1, -1]
    np.testing.assert_allclose(one.boxes, mirrored, atol=0.01)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
    masks = other.mask_probabilities[..., ::-1]
    np.testing.assert_allclose(one.mask_probabilities, masks, atol=1e-3)
    # Which a single input does not give.
    alone = predict(model, PICTURE, 64).mask_probabilities[:4]
    back = predict(model, PICTURE[:, ::-1], 64).mask_probabilities[:4, :, ::-1]
    assert np.abs(alone - back).max() > 0.05


def test_results_are_means_of_what_each_input_says(model, monkeypatch):
    found = predict(model, PICTURE, 64, 90, flip=True)
    assert len(found) > 3
    masks, lefts, plain = [], [], []
    for min_size in (64, 90):
        with_size(model, min_size, monkeypatch)
        said = model.describe(PICTURE, found.boxes, found.classes)
        boxes = found.boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [210, 0, 210, 0]
        mirrored = model.describe(PICTURE[:, ::-1], boxes, found.classes)
        masks += [said.mask_probabilities, mirrored.mask_probabilities[..., ::-1]]
        lefts += [said.extras["left"], mirrored.extras["left"]]
        plain.append(said)
    spread = np.std(masks, axis=0).max()
    assert spread > 0.05
    np.testing.assert_allclose(found.mask_probabilities, np.mean(masks, axis=0), atol=1e-3)
    np.testing.assert_allclose(found.extras["left"], np.mean(lefts, axis=0), atol=1e-2)
    # Of the input of the model's own size.
    np.testing.assert_array_equal(found.extras["whole_left"], plain[0].extras["whole_left"])
    np.testing.assert_allclose(found.keypoints, plain[0].keypoints, atol=0.05)
    assert np.abs(found.keypoints - plain[1].keypoints).max() > 0.5


def test_more_is_found_than_in_one_input(model):
    """All detections keep their scores: the merged ones are the best of every input."""
    found = predict(model, PICTURE, 48, 64, 96)
    each = [predict(model, PICTURE, size).scores.max() for size in (48, 64, 96)]
    assert found.scores[0] == pytest.approx(max(each), abs=1e-6)
    assert (np.diff(found.scores) <= 0).all()
    assert len(found) == model.network.box.max_detections


def test_pictures_one_by_one(model):
    pictures = [PICTURE, make_picture(90, 60, 4)]
    augmentation = Augmentation(min_sizes=(64,), max_size=96)
    both = model.predict(pictures, batch_size=2, verbose=0, augment=augmentation)
    assert [found.image_size for found in both] == [(150, 210), (90, 60)]
    (second,) = model.predict(pictures[1], verbose=0, augment=augmentation)
    np.testing.assert_allclose(both[1].boxes, second.boxes)


def test_nothing_found(model):
    logits = model.network.box.head.class_logits
    bias = logits.bias.numpy()
    logits.bias.assign([-80.0, -80.0, 80.0])
    found = predict(model, PICTURE, 64, 80, flip=True)
    logits.bias.assign(bias)
    assert len(found) == 0 and found.masks.shape == (0, 150, 210)
    assert found.keypoints.shape == (0, 2, 3)


def test_refusals(model):
    with pytest.raises(ValueError, match=r"min_sizes must hold a size or more.*min_sizes=\(\)"):
        Augmentation(min_sizes=())
    with pytest.raises(ValueError, match="min_sizes must be at least 1. Received: min_sizes=0"):
        Augmentation(min_sizes=(64, 0))
    with pytest.raises(ValueError, match="Received: max_size=0"):
        Augmentation(max_size=0)
    with pytest.raises(TypeError, match="Received: augment='flip'"):
        model.predict(PICTURE, verbose=0, augment="flip")
    batches = tf.data.Dataset.from_tensors(
        (np.zeros((1, 64, 64, 3), "float32"), {"image_sizes": np.array([[64, 64]])})
    )
    with pytest.raises(ValueError, match="give predict their paths or the DetectionData"):
        model.predict(batches, verbose=0, augment=True)


def test_keypoints_of_given_boxes_are_those_of_predict(model):
    (found,) = model.predict(PICTURE, verbose=0)
    said = model.describe(PICTURE, found.boxes, found.classes)
    np.testing.assert_allclose(said.keypoints[..., :2], found.keypoints[..., :2], atol=0.01)
