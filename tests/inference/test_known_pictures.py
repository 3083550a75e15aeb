"""Results of `predict` and `describe` know the picture that they were given."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.images.input_size import InputSize
from keras_maskrcnn.images.pixels import PixelFormat
from keras_maskrcnn.inference.describe import describe_boxes
from keras_maskrcnn.inference.predict import predict_pictures

PIXELS = PixelFormat()


@pytest.fixture
def model():
    """Finds the middle of each picture."""

    def find(inputs):
        sizes = inputs["image_sizes"].astype("float32")
        boxes = np.concatenate([sizes[:, ::-1] / 4, sizes[:, ::-1] * 3 / 4], axis=1)[:, None]
        count = len(sizes)
        return {
            "boxes": boxes,
            "classes": np.zeros((count, 1), int),
            "scores": np.full((count, 1), 0.9),
            "counts": np.ones(count, int),
        }

    graph = SimpleNamespace(predict_on_batch=find)
    return SimpleNamespace(
        pixels=PIXELS,
        input_size=InputSize(64, 96, 32),
        predict_on_batch=find,
        description_graph=lambda: graph,
        num_classes=1,
        class_names=("cat",),
        keypoint_shift=0.0,
    )


def test_each_result_knows_its_own_picture(model, tmp_path):
    array = np.full((40, 60, 3), 50, np.uint8)
    path = str(tmp_path / "a.png")
    Image.fromarray(array[:30]).save(path)
    pillow = Image.new("L", (50, 40), 90)
    items = [array, path, pillow]
    found = predict_pictures(model, items, 2, False, False)
    assert [one.picture.source for one in found] == items
    assert found[0].picture.source is array
    for one, color, size in zip(found, (50, 50, 90), ((60, 40), (60, 30), (50, 40)), strict=True):
        drawn = one.plot(labels=False)
        assert drawn.size == size and drawn.getpixel((1, 1)) == (color,) * 3
        assert drawn.getpixel((size[0] // 4, size[1] // 2)) != (color,) * 3  # The box.


def test_pictures_of_a_data_set_are_shown_in_its_channels(model, tmp_path):
    path = tmp_path / "a.npy"
    values = np.zeros((40, 60, 4), np.uint8)
    values[..., 3] = 200
    np.save(path, values)
    model.pixels = PixelFormat(4)
    data = DetectionData(
        [ImageRecord(1, str(path), 40, 60)], ["cat"], [1], pixels=PixelFormat(4, None, (3, 3, 0))
    )
    (found,) = predict_pictures(model, data, 1, False, False)
    assert found.plot().getpixel((1, 1)) == (200, 200, 0)


def test_describe(model):
    array = np.full((40, 60, 3), 50, np.uint8)
    found = describe_boxes(model, array, [[0, 0, 5, 5]], None)
    assert found.picture.source is array and found.picture.pixels is PIXELS
