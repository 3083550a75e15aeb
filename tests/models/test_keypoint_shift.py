"""Models that count keypoints as COCO's files do, in indices of pixels (torchvision's)."""

import numpy as np
import pytest
import tensorflow as tf
from helpers import batch, keypoint_head, tiny_model, training_outputs
from parity.golden_models import first_come_sampling
from PIL import Image

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.evaluation import evaluate_coco
from keras_maskrcnn.images.input_size import InputSize
from keras_maskrcnn.images.pixels import PixelFormat
from keras_maskrcnn.inference.predict import predict_dataset
from keras_maskrcnn.outlines import Polygons

COCO_POINTS = np.array([[20 + 2 * i, 30 + i % 5] for i in range(17)])  # whole pixels, as annotated


class Torchvision:
    """A model that was trained on COCO's numbers times the scale, and learnt them perfectly."""

    class_names = ("person",)
    pixels = PixelFormat()

    def __init__(self, keypoint_shift):
        self.input_size = InputSize(120, 1000, 32)
        self.num_classes = 1
        self.given_class_names = self.class_names
        self.keypoint_shift = keypoint_shift

    def predict_on_batch(self, inputs):
        assert np.asarray(inputs["image_sizes"]).tolist() == [[120, 180]]  # three times the picture
        keypoints = np.ones((1, 1, 17, 3), "float32")
        keypoints[..., :2] = COCO_POINTS * 3
        return {
            "boxes": np.array([[[57, 87, 162, 105]]], "float32"),
            "classes": np.zeros((1, 1), "int32"),
            "scores": np.ones((1, 1), "float32"),
            "counts": np.array([1]),
            "keypoints": keypoints,
        }


@pytest.fixture
def person(tmp_path):
    path = tmp_path / "0.png"
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(path)
    points = np.column_stack([COCO_POINTS + 0.5, np.full(17, 2)]).astype("float32")
    outline = Polygons([[19, 29, 54, 29, 54, 35, 19, 35]])
    # A small area: half a pixel matters most where objects are small.
    instance = Instance(0, (19.0, 29.0, 54.0, 35.0), outline, False, 40.0, 1, points)
    record = ImageRecord(1, str(path), 40, 60, (instance,))
    names = [str(i) for i in range(17)]
    return DetectionData([record], ["person"], [1], keypoint_names=names)


def test_scored_by_its_own_convention(person):
    scores = [
        evaluate_coco(Torchvision(shift), person, batch_size=1)["keypoint_ap"]
        for shift in (0.5, 0.0)
    ]
    assert scores[0] == pytest.approx(1.0)
    assert scores[1] < 0.9


def test_results_are_coco_s_numbers_and_detections_are_continuous(person):
    batches = person.batches(1, min_size=120, max_size=1000)
    found = predict_dataset(Torchvision(0.5), batches, show=False)[0]
    np.testing.assert_allclose(found.keypoints[0, :, :2], COCO_POINTS + 0.5, rtol=1e-6)
    (result,) = found.to_coco(1, [1])
    points = np.reshape(result["keypoints"], (17, 3))[:, :2]
    np.testing.assert_allclose(points, COCO_POINTS, rtol=1e-6)


def test_trains_on_the_same_numbers():
    """What the head should say is what it should of keypoints that were never made continuous."""
    images, targets = batch(keypoints=5)
    targets["original_sizes"] = np.array([[32, 24]] * 2, "int32")  # 64 x 96 here: 4 across, 2 down
    given = {0.5: targets, 0.0: dict(targets)}
    given[0.0]["keypoints"] = targets["keypoints"] - np.array([2, 1, 0], "float32")
    cells = {}
    for shift, values in given.items():
        model = tiny_model(heads=(keypoint_head(5, shift=shift),))
        values = {k: tf.constant(v) for k, v in values.items()}
        with first_come_sampling():
            outputs = training_outputs(model, tf.constant(images), values)
        found = outputs["keypoint"]["targets"]
        cells[shift] = [found[k].numpy() for k in ("cells", "valid")]
        assert cells[shift][1].any() and np.unique(cells[shift][0]).size > 5
    np.testing.assert_array_equal(cells[0.5][0], cells[0.0][0])
    np.testing.assert_array_equal(cells[0.5][1], cells[0.0][1])
