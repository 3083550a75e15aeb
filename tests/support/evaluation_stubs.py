"""A model that answers from a list, and pictures to answer about."""

import keras
import numpy as np
from PIL import Image

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.images.input_size import InputSize
from keras_maskrcnn.outlines import Polygons


def rectangle(x1, y1, x2, y2):
    return Polygons([[x1, y1, x2, y1, x2, y2, x1, y2]])


def instance(box, category=0, number=0, is_crowd=False, keypoints=None):
    area = (box[2] - box[0]) * (box[3] - box[1])
    return Instance(category, box, rectangle(*box), is_crowd, area, number, keypoints)


def make_data(folder, instances_per_picture, size=(120, 160), class_names=("cat", "dog")):
    """Blank pictures with the given instances."""
    records = []
    for i, instances in enumerate(instances_per_picture):
        path = folder / f"{i}.png"
        Image.fromarray(np.full((*size, 3), 127, np.uint8)).save(path)
        records.append(ImageRecord(i + 1, str(path), *size, tuple(instances)))
    ids = [7 * (len(class_names) - k) for k in range(len(class_names))]  # Not in class order.
    return DetectionData(records, list(class_names), ids)


def perfect(record):
    """For each object its own box, class and outline, score .9."""
    return [(i.box, i.category, 0.9, i.outline) for i in record.objects]


class StubModel:
    """Answers `predict_on_batch` with `answer(record)`: (box, class, score, outline) tuples.

    Boxes are in pixels of the original picture and scaled to the network input here, so that the
    way back is tested. Relies on the data's order.
    """

    def __init__(self, data, answer=perfect, masks=True, min_size=90, max_size=200):
        self.input_size = InputSize(min_size, max_size, 64)
        self.num_classes = len(data.class_names)
        self.given_class_names = tuple(data.class_names)
        self.keypoint_shift = 0.0
        self.pixels = data.pixels
        self.data, self.answer, self.masks = data, answer, masks
        self.position = 0
        self.batches = []

    def predict_on_batch(self, x):
        sizes = np.asarray(x["image_sizes"])
        self.batches.append((tuple(x["images"].shape), sizes.tolist()))
        records = [
            self.data.records[(self.position + b) % len(self.data.records)]
            for b in range(len(sizes))
        ]
        self.position += len(sizes)
        answers = [sorted(self.answer(r), key=lambda item: -item[2]) for r in records]
        B, D = len(sizes), max([8, *map(len, answers)])
        outputs = {
            "boxes": np.zeros((B, D, 4), "float32"),
            "classes": np.full((B, D), -1, "int32"),
            "scores": np.zeros((B, D), "float32"),
            "counts": np.zeros(B, "int32"),
        }
        if self.masks:
            outputs["masks"] = np.zeros((B, D, 28, 28), "float32")
        for b, (record, found) in enumerate(zip(records, answers, strict=True)):
            scale = sizes[b][::-1] / (record.width, record.height)
            outputs["counts"][b] = len(found)
            for d, (box, category, score, outline) in enumerate(found):
                outputs["boxes"][b, d] = np.asarray(box) * np.tile(scale, 2)
                outputs["classes"][b, d] = category
                outputs["scores"][b, d] = score
                if self.masks:
                    outputs["masks"][b, d] = outline.draw(box, 28) / 255.0
        return outputs


class StubKerasModel(keras.Model):
    """Learns nothing; its detections get better by the call of `next_answer`."""

    def __init__(self, stub):
        super().__init__()
        self.stub = stub
        self.input_size = stub.input_size
        self.pixels = stub.pixels
        self.keypoint_shift = stub.keypoint_shift
        self.num_classes = stub.num_classes
        self.given_class_names = stub.given_class_names
        self.dense = keras.layers.Dense(1)

    def call(self, x):
        return self.dense(x)

    def predict_on_batch(self, x):
        return self.stub.predict_on_batch(x)
